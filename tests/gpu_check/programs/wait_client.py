"""How long a hundred waits for the GPU take, in milliseconds altogether."""

import time

import cuda
from probe import tell, warm

cuda.start()
cuda.wait()
warm()
begun = time.perf_counter()
for _ in range(100):
    cuda.wait()
tell(call="ms", answer=f"{(time.perf_counter() - begun) * 1000:.1f}")
