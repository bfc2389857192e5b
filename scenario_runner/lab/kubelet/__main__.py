"""`python -m scenario_runner.lab.kubelet`."""

from scenario_runner.lab.kubelet.main import main

if __name__ == "__main__":
    raise SystemExit(main())
