"""The ways a Reconstruction leaves."""
