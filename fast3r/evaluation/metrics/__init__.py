"""Errors of poses, trajectories, depth, focal lengths and clouds, as pure functions.

All take tensors (of a numpy array: `torch.from_numpy`, without a copy). A list has an entry a view;
None is a view that the method could not place, and each function says what it makes of that.
"""
