"""Pooling."""

from __future__ import annotations

from keras import layers as L

from cases.table import FIRST_IMAGE, FIRST_STEPS, IMAGE, STEPS, row

for _kind, _Pool1D, _Pool2D in (
    ("max", L.MaxPooling1D, L.MaxPooling2D),
    ("average", L.AveragePooling1D, L.AveragePooling2D),
):
    row(f"{_kind}_pool1d", STEPS, _Pool1D(2))
    row(f"{_kind}_pool1d overlapping same", STEPS, _Pool1D(3, strides=2, padding="same"))
    row(f"{_kind}_pool1d first", FIRST_STEPS, _Pool1D(3, data_format="channels_first"))
    row(f"{_kind}_pool1d any length", (None, 3), _Pool1D(3, strides=2, padding="same"))
    row(f"{_kind}_pool2d", IMAGE, _Pool2D(2))
    row(f"{_kind}_pool2d same", IMAGE, _Pool2D(2, padding="same"))
    row(f"{_kind}_pool2d overlapping", IMAGE, _Pool2D(3, strides=1))
    row(f"{_kind}_pool2d overlapping same", IMAGE, _Pool2D(3, strides=2, padding="same"))
    row(f"{_kind}_pool2d uneven", IMAGE, _Pool2D((2, 3), strides=(3, 1), padding="same"))
    row(f"{_kind}_pool2d stride above size", IMAGE, _Pool2D(2, strides=3))
    row(f"{_kind}_pool2d first", FIRST_IMAGE, _Pool2D(3, strides=2, padding="same", data_format="channels_first"))
    row(f"{_kind}_pool2d any size", (None, None, 3), _Pool2D(3, strides=2, padding="same"), sizes=(7, 8))
for _kind, _Pool1D, _Pool2D in (
    ("max", L.GlobalMaxPooling1D, L.GlobalMaxPooling2D),
    ("average", L.GlobalAveragePooling1D, L.GlobalAveragePooling2D),
):
    row(f"global_{_kind}_pool1d", STEPS, _Pool1D())
    row(f"global_{_kind}_pool1d keepdims", STEPS, _Pool1D(keepdims=True))
    row(f"global_{_kind}_pool1d first", FIRST_STEPS, _Pool1D(data_format="channels_first"))
    row(f"global_{_kind}_pool2d", IMAGE, _Pool2D())
    row(f"global_{_kind}_pool2d keepdims", IMAGE, _Pool2D(keepdims=True))
    row(f"global_{_kind}_pool2d first", FIRST_IMAGE, _Pool2D(data_format="channels_first"))
    row(f"global_{_kind}_pool2d first keepdims", FIRST_IMAGE, _Pool2D(data_format="channels_first", keepdims=True))
    row(f"global_{_kind}_pool2d any size", (None, None, 3), _Pool2D())
