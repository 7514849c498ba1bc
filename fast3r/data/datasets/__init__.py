"""One file a dataset: the layout on disk, and how its numbers are to be read."""
