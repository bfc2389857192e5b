"""PyTorch with expandable segments: memory by cuMemCreate, which it asks the runtime for by name."""

import os

from probe import attempt, need, warm

os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "expandable_segments:True"
torch = need("torch")
ones = torch.ones(1 << 20, device="cuda")
(ones + 1).sum().item()
warm()
attempt("alloc", lambda: torch.empty(1 << 30, device="cuda"))
attempt("kernel", lambda: (ones + 1).sum().item())
