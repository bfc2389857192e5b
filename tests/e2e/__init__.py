"""Kubernetes from nothing: a real cluster on one machine, and the tests that need one."""
