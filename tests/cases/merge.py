"""Merging layers."""

from __future__ import annotations

from keras import layers as L

from cases.table import IMAGE, VECTOR, row

for _name, _Merge in (
    ("add", L.Add),
    ("subtract", L.Subtract),
    ("multiply", L.Multiply),
    ("average", L.Average),
    ("maximum", L.Maximum),
    ("minimum", L.Minimum),
):
    row(_name, [IMAGE, IMAGE], lambda a, b, merge=_Merge: merge()([a, b]))
    row(f"{_name} broadcast", [IMAGE, (1, 1, 3)], lambda a, b, merge=_Merge: merge()([a, b]))
    if _Merge is not L.Subtract:
        row(f"{_name} of three", [IMAGE] * 3, lambda a, b, c, merge=_Merge: merge()([a, b, c]))
row("add of ranks", [IMAGE, (3,)], lambda a, b: L.Add()([a, b]))
row("concatenate", [IMAGE, (9, 10, 2)], lambda a, b: L.Concatenate()([a, b]))
row("concatenate axis", [IMAGE, (4, 10, 3)], lambda a, b: L.Concatenate(axis=1)([a, b]))
row("concatenate of three", [VECTOR, (2,), (3,)], lambda a, b, c: L.Concatenate()([a, b, c]))
