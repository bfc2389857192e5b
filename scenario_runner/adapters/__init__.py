"""The outside: one client library per module and nowhere else."""
