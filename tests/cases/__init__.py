"""Parity cases by family; importing one enters its rows in the table."""

from cases import (
    activation,
    attention,
    conv,
    merge,
    models,
    norm,
    operations,
    operations_core,
    operations_image,
    operations_linalg,
    operations_math,
    operations_nn,
    operations_reduce,
    operations_shape,
    pool,
    preprocessing,
    quantized,
    recurrent,
    shape,
    volume,
)
from cases.table import CASES, Case

__all__ = ["CASES", "Case"]

FAMILIES = (
    operations_nn,
    operations_core,
    operations_linalg,
    operations_image,
    conv,
    pool,
    norm,
    activation,
    merge,
    shape,
    operations,
    operations_math,
    operations_reduce,
    operations_shape,
    models,
    volume,
    preprocessing,
    attention,
    recurrent,
    quantized,
)
