"""The driver itself, by ctypes: dlopen and dlsym."""

import cuda
from probe import attempt, warm

cuda.start()
fine = cuda.kernel("fine")


def kernel():
    cuda.must(cuda.launch(fine))
    cuda.wait()


kernel()
warm()
attempt("alloc", lambda: cuda.alloc(1 << 26))
attempt("kernel", kernel)
