"""A process kubelet: one node whose containers are local processes."""
