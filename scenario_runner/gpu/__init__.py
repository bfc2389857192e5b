"""Facts about GPUs and their errors: tables and functions, no input or output."""
