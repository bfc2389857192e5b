"""`python -m scenario_runner.lab.inference`: everything is configured by environment variables (see `settings`)."""

from scenario_runner.lab.inference.server import main

if __name__ == "__main__":
    raise SystemExit(main())
