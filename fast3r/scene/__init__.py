"""From views to a Reconstruction."""
