"""Matrix products."""

from kerasgen.pure_kernels.lists import blocks, dot, floats


def matmul(a, b, *, count, depth):
    """`count` matrix products, of rows of `depth` numbers with other such rows: (N, T, D), (N, S, D) → (N, T, S)."""
    y = floats(())
    for left, right in zip(blocks(a, len(a) // count), blocks(b, len(b) // count)):
        columns = list(blocks(right, depth))
        y += floats(dot(row, column) for row in blocks(left, depth) for column in columns)
    return y
