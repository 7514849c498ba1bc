"""Processes that share work: on one machine, under a launcher, or as jobs of a cluster."""
