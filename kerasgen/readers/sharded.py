"""Sharded weights: `X.weights.json` tells in which of the HDF5 files beside it the variables of each object are.

Those of one object may lie in several: its group is then in each of them, with some of its variables.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import h5py

from kerasgen.errors import InvalidModelError
from kerasgen.readers import content, hdf5
from kerasgen.readers.content import Content


def is_map(config: Any) -> bool:
    """Whether this is the content of such a JSON file."""
    return isinstance(config, dict) and isinstance(config.get("weight_map"), dict)


@dataclass(frozen=True)
class Shards:
    """All the shards as one file of weights."""

    file: Content
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What messages call it: the JSON file."""
        return self.file.name

    def handle(self) -> io.BytesIO:
        """The file's bytes."""
        assert isinstance(self.file.data, Path)
        whole = io.BytesIO()
        with h5py.File(whole, "w") as joined:
            for shard, paths in self._paths().items():
                seen = set[int]()
                with hdf5.opened(content.on_disk(self.file.data.with_name(shard))) as file:
                    for path in paths:
                        arrays = hdf5.find(file, path)
                        if not isinstance(arrays, h5py.Group):
                            raise ValueError(f"{path!r}, which {self.name} promises, is missing")
                        hdf5.merge(arrays, joined, path, seen)
        return whole

    def _paths(self) -> dict[str, list[str]]:
        """The groups in each shard."""
        paths: dict[str, list[str]] = {}
        for path, shards in self.config["weight_map"].items():
            for shard in shards if isinstance(shards, list) else [shards]:
                if not isinstance(shard, str) or shard in ("", "..") or PurePath(shard).name != shard:
                    raise InvalidModelError(f"{self.name}: its weight_map names {shard!r}, which is no file beside it")
                paths.setdefault(shard, []).append(path)
        return paths
