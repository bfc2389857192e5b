"""CuPy: a static runtime in its extension module."""

from probe import attempt, need, warm

cupy = need("cupy")
ones = cupy.ones(1 << 20)
float((ones + 1).sum())
warm()
attempt("alloc", lambda: cupy.empty(1 << 28))
attempt("kernel", lambda: float((ones + 1).sum()))
