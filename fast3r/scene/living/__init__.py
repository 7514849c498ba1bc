"""Scenes that grow, shrink and join, without redoing what stands."""
