"""What there is to know about each kind of workload, and how the CUDA library gets into their pod templates."""
