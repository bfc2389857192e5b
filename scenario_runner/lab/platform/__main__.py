"""`python -m scenario_runner.lab.platform`."""

from scenario_runner.lab.platform.main import main

if __name__ == "__main__":
    raise SystemExit(main())
