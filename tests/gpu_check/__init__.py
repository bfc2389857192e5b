"""`make gpu-check`: the CUDA library on a real GPU and NVIDIA's own driver, with what no stand-in driver can show."""
