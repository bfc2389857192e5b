"""The fault agent: makes one node report GPU faults, and takes them back."""
