"""A small Kubernetes API server in one process: enough of the real one for drills, official clients and kubectl."""
