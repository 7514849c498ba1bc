"""Cameras of a scene made exact: features, matches, structure from motion, bundle adjustment."""
