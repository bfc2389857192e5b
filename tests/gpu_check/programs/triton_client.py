"""Triton: links libcuda for its utilities and looks cuLaunchKernelEx up by dlsym."""

from probe import attempt, need, warm

torch = need("torch")
triton = need("triton")
tl = need("triton.language")


@triton.jit
def increase(pointer, count, block: tl.constexpr):
    offsets = tl.program_id(0) * block + tl.arange(0, block)
    inside = offsets < count
    tl.store(pointer + offsets, tl.load(pointer + offsets, mask=inside) + 1, mask=inside)


numbers = torch.zeros(1024, device="cuda")


def kernel():
    increase[(1,)](numbers, 1024, block=1024)
    torch.cuda.synchronize()


kernel()
warm()
attempt("kernel", kernel)
