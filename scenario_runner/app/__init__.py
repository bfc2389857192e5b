"""What each command does, as a list of steps; adapters are chosen here and nowhere else."""
