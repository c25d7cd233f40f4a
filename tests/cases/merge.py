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
for _name, _axes, _shapes in (
    ("of vectors", 1, [VECTOR, VECTOR]),
    ("of steps", 2, [(5, 4), (6, 4)]),
    ("from end", -1, [(5, 4), (6, 4)]),
    ("of two axes", (1, 2), [(5, 4), (6, 5)]),
    ("from both ends", (-1, 1), [(5, 4), (4, 6)]),
    ("of a vector and steps", (1, 2), [(4,), (6, 4)]),
    ("of steps and a vector", (1, 1), [(4, 6), (4,)]),
    ("of images", (2, 1), [(3, 5, 4), (5, 6, 2)]),
    ("of images' last axes", (3, 3), [(3, 5, 4), (2, 6, 4)]),
    ("any length", (2, 2), [(None, 4), (None, 4)]),
):
    for _normalize in (False, True):
        row(
            f"dot {_name}{' normalize' if _normalize else ''}",
            _shapes,
            lambda a, b, axes=_axes, normalize=_normalize: L.Dot(axes, normalize=normalize)([a, b]),
        )
