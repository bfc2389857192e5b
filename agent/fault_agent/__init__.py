"""The fault agent: makes one node report GPU faults, and takes them back."""

__version__ = "0.1.0"
