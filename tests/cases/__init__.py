"""Parity cases by family; importing one enters its rows in the table."""

from cases import activation, attention, conv, merge, models, norm, operations, pool, shape, volume
from cases.table import CASES, Case

__all__ = ["CASES", "Case"]

FAMILIES = (conv, pool, norm, activation, merge, shape, operations, attention, models, volume)
