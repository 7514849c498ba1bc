"""What a run will need on this machine, and how it is arranged so that it fits."""
