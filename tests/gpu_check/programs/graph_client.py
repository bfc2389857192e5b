"""A captured CUDA graph: after the capture nothing but cuGraphLaunch reaches the driver."""

from probe import attempt, need, warm

torch = need("torch")
numbers = torch.zeros(1024, device="cuda")
side = torch.cuda.Stream()
with torch.cuda.stream(side):
    numbers.add_(1)
torch.cuda.synchronize()
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    numbers.add_(1)


def kernel():
    graph.replay()
    torch.cuda.synchronize()


kernel()
warm()
attempt("kernel", kernel)
