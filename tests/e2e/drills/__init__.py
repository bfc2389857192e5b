"""Drills on the real cluster, all on one stage: the shipped scenarios, the README's way to them, and bad days."""
