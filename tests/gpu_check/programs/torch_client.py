"""PyTorch: a shared runtime for its own kernels, a static one inside cuBLAS."""

from probe import attempt, need, warm

torch = need("torch")
ones = torch.ones(1 << 20, device="cuda")
matrix = torch.ones(256, 256, device="cuda")
(matrix @ matrix).sum().item()
warm()
attempt("alloc", lambda: torch.empty(1 << 28, device="cuda"))
attempt("kernel", lambda: (ones + 1).sum().item())
attempt("gemm", lambda: (matrix @ matrix).sum().item())
