"""`python -m scenario_runner.lab.apiserver`."""

from scenario_runner.lab.apiserver.main import main

if __name__ == "__main__":
    raise SystemExit(main())
