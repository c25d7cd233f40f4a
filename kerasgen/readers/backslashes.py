r"""Weights that tf.keras saved on Windows: a group for each object, but named `layers\dense` as one word."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import h5py

from kerasgen.readers import hdf5


@dataclass(frozen=True)
class Spelled:
    """A file of weights, its groups' names spelled as everywhere else."""

    source: hdf5.Source

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.source.name

    def handle(self) -> Any:
        """The file itself if there is nothing to change, else a copy in memory."""
        handle = self.source.handle()
        with h5py.File(handle, "r") as file:
            if not any("\\" in name for name in file):
                return handle
            copy, seen = io.BytesIO(), set[int]()
            with h5py.File(copy, "w") as whole:
                for name in file:
                    arrays = hdf5.find(file, f"{name}/vars")
                    if arrays is not None:
                        hdf5.merge(arrays, whole, f"{name}/vars".replace("\\", "/"), seen)
        return copy
