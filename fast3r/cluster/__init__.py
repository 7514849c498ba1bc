"""Work sent to a Slurm cluster."""
