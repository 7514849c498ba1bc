"""Pictures of a Reconstruction."""
