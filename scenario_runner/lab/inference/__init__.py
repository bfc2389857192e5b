"""A small OpenAI-compatible inference service: what a pod of the lab's workload runs."""
