"""Whether PyTorch's profiler (Kineto, CUPTI) still sees kernels."""

from probe import need, tell

torch = need("torch")
profiler = need("torch.profiler")
ones = torch.ones(64, device="cuda")
with profiler.profile(activities=[profiler.ProfilerActivity.CUDA]) as seen:
    (ones + 1).sum().item()
tell(call="kernels", answer=str(len([e for e in seen.events() if e.device_type == torch.autograd.DeviceType.CUDA])))
