"""Whether PyTorch finds a GPU at all."""

from probe import need, tell

torch = need("torch")
tell(call="available", answer=str(torch.cuda.is_available()))
