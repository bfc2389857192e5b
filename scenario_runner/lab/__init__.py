"""A cluster for one machine: real processes, no GPU; see lab.lab for the door to it."""
