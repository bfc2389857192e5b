"""The sample inference service, as a real process over real HTTP."""
