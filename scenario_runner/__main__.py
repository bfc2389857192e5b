"""`python -m scenario_runner`."""

from scenario_runner.cli import main

main()
