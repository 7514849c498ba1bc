"""Many scenes: which there are, making one after the other, and what became of each."""
