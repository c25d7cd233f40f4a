r"""Weights that tf.keras saved on Windows: a group for each object, but named `layers\dense` as a single name."""

from __future__ import annotations

from dataclasses import dataclass

from kerasgen.hdf5.process import Child
from kerasgen.readers import hdf5


@dataclass(frozen=True)
class Spelled:
    """A file of weights with its groups' names as on other systems."""

    source: hdf5.Source

    @property
    def name(self) -> str:
        """The name used in messages."""
        return self.source.name

    def root(self, process: Child) -> hdf5.Group:
        """Its contents."""
        root = self.source.root(process)
        if not any("\\" in name for name in root.links):
            return root
        spelled = hdf5.Group("/")
        for name in root.links:
            arrays = hdf5.subgroup(root, f"{name}/vars")
            if arrays is not None:
                hdf5.graft(arrays, spelled, f"{name}/vars".replace("\\", "/"))
        return spelled
