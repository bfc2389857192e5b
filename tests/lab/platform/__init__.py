"""The platform stand-in, on a world in which time passes only when a test says so."""
