"""How long a launch takes that does next to nothing, in nanoseconds, and what it computed."""

import time

from probe import need, tell

torch = need("torch")
LAUNCHES = 20_000
numbers = torch.zeros(16, device="cuda")
torch.cuda.synchronize()
each = []
for _ in range(9):
    begun = time.perf_counter()
    for _ in range(LAUNCHES):
        numbers.add_(1)
    torch.cuda.synchronize()
    each.append((time.perf_counter() - begun) / LAUNCHES * 1e9)
tell(call="ns", answer=f"{sorted(each)[4]:.0f}")
tell(call="sum", answer=f"{numbers.sum().item():.0f}")
