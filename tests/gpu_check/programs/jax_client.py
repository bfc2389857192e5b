"""JAX: a plugin that opens the driver by dlopen and dlsym."""

import os

from probe import attempt, need, warm

os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
jax = need("jax")
numpy = need("jax.numpy")
matrix = numpy.ones((512, 512))
product = jax.jit(lambda one: (one @ one).sum())
product(matrix).block_until_ready()
warm()
attempt("kernel", lambda: product(matrix).block_until_ready())
