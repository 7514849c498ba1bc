"""Procedural scenes, rendered in pure torch on CPU or GPU."""
