"""The scenario file: read, checked, resolved and planned."""
