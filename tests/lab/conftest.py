"""The shared lab, for the tests of its own processes."""

from tests.lab_fixture import client, lab

__all__ = ["client", "lab"]
