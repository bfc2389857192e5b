"""Where the pod templates of each kind of workload are, and how the CUDA library gets into them. Pure functions."""
