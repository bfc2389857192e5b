"""What people and pipelines read about a run: pure functions of a report, and a listener for the terminal."""
