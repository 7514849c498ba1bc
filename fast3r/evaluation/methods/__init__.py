"""What can be evaluated: our models, COLMAP, the trivial answer, and any function of yours."""
