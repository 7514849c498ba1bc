"""Training: losses, data in order, the run from its config to its checkpoints, and release."""
