"""Operations that cut, write and regroup."""

from __future__ import annotations

import numpy as np
from keras import ops

from cases.table import FIRST_IMAGE, IMAGE, STEPS, VECTOR, row

PLACES = np.array([[0], [2], [5]], "int32")

row("ops.slice", IMAGE, lambda x: ops.slice(x, (0, 1, 2, 0), (-1, 4, -1, 3)))
row("ops.slice array", STEPS, lambda x: ops.slice(x, np.array([0, 3, 1]), (-1, 4, 2)))
row("ops.slice by tensor", STEPS, lambda x: ops.slice(x, ops.cast(ops.ones((3,)) * 1, "int32") * [0, 2, 1], (-1, 4, 2)))
row(
    "ops.slice at run time",
    [STEPS, ()],
    lambda x, n: ops.slice(x, ops.stack([n[0], n[0], n[0]]) * 0 + 1, (-1, 4, 2)),
    dtype="int32",
    mixes=True,
)
row("ops.slice_update", [STEPS, (4, 2)], lambda x, y: ops.slice_update(x, (0, 3, 1), y))
row("ops.slice_update clamped", [STEPS, (4, 2)], lambda x, y: ops.slice_update(x, (0, 30, 2), y))
row(
    "ops.scatter",
    VECTOR,
    lambda x: ops.scatter(np.array([[0, 1], [2, 0], [2, 0]]), ops.reshape(x[0, :3], (3,)), (3, 4)),
)
row("ops.scatter rows", STEPS, lambda x: ops.scatter(PLACES, x[0, :3], (7, 3)))
row("ops.scatter samples", [(1,), (5,)], lambda i, v: ops.scatter(ops.cast(i, "int32") % 4, v, (4, 5)), mixes=True)
for _reduction in (None, "add", "max", "min", "mul"):
    row(
        f"ops.scatter_update {_reduction}",
        VECTOR,
        lambda x, how=_reduction: ops.transpose(
            ops.scatter_update(ops.transpose(x), PLACES, ops.transpose(x)[3:6, ...] * 2.0, reduction=how)
        ),
    )
row(
    "ops.scatter_update twice",
    VECTOR,
    lambda x: ops.scatter_update(x[0], PLACES * 0 + 1, np.arange(3, dtype="f"), "add"),
)
row(
    "ops.scatter_update cells",
    STEPS,
    lambda x: ops.scatter_update(x, np.array([[0, 1, 2]]), np.array([3.0], "f")),
    mixes=True,
)
row("ops.unstack", (4, 5), lambda x: ops.unstack(x, axis=1))
row("ops.unstack last", IMAGE, lambda x: ops.unstack(x, num=3, axis=-1))
row("ops.unstack one", (1, 5), lambda x: ops.unstack(x, axis=1))
row("ops.unstack one cell", (4, 5), lambda x: ops.unstack(x, axis=1)[2])
for _dtype in ("uint8", "int8", "int32", "uint32", "bool", "float16"):
    row(f"ops.saturate_cast {_dtype}", VECTOR, lambda x, to=_dtype: ops.saturate_cast(x * x * x * x * x * 3e4, to))
row("ops.saturate_cast infinite", VECTOR, lambda x: ops.saturate_cast(x * float("inf"), "float32"))
row("ops.saturate_cast whole", VECTOR, lambda x: ops.saturate_cast(x * 100, "int8"), dtype="int32")


# Keras rearranges only what has no axis of unknown size.
for _pattern in ("h w -> w h", "h w -> (w h)", "(h p) w -> p w h", "(h p) (w q) -> h w (p q)"):
    _sizes = {name: size for name, size in (("p", 2), ("q", 4)) if f"{name})" in _pattern.split("->")[0]}
    row(f"ops.rearrange {_pattern}", (6, 8), lambda x, how=_pattern, sizes=_sizes: ops.rearrange(x[0], how, **sizes))
row("ops.rearrange image", FIRST_IMAGE, lambda x: ops.rearrange(x[0], "c h w -> (h w) c"))

FIXED = np.linspace(-1, 1, 33, dtype="float32").reshape(1, 11, 3)
row("ops.slice_update of array", (11, 1), lambda y: ops.slice_update(FIXED, (0, 0, 1), y[0:1, :, :]))
row("ops.scatter_update of array", STEPS, lambda x: ops.scatter_update(FIXED[0], PLACES, x[0, :3]))
