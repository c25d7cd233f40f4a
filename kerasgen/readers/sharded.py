"""Sharded weights: `X.weights.json` maps each object to the HDF5 files beside it that hold its variables.

If an object is split over several files, each has its group with some of the variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from kerasgen.errors import InvalidModelError
from kerasgen.hdf5.process import Child
from kerasgen.readers import content, hdf5
from kerasgen.readers.content import Content


def is_map(config: Any) -> bool:
    """Whether this is the contents of such a JSON file."""
    return isinstance(config, dict) and isinstance(config.get("weight_map"), dict)


@dataclass(frozen=True)
class Shards:
    """All the shards as one file of weights."""

    file: Content
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name used in messages: the JSON file's."""
        return self.file.name

    def root(self, process: Child) -> hdf5.Group:
        """The contents of all shards."""
        assert isinstance(self.file.data, Path)
        root = hdf5.Group("/")
        for name, paths in self._paths().items():
            shard = hdf5.Single(content.on_disk(self.file.data.with_name(name)))
            with hdf5.malformed(shard.name):
                whole = shard.root(process)
                for path in paths:
                    arrays = hdf5.subgroup(whole, path)
                    if arrays is None:
                        raise ValueError(f"{path!r}, which {self.name} lists, is missing")
                    hdf5.graft(arrays, root, path)
        return root

    def _paths(self) -> dict[str, list[str]]:
        """The groups in each shard."""
        paths: dict[str, list[str]] = {}
        for path, shards in self.config["weight_map"].items():
            for shard in shards if isinstance(shards, list) else [shards]:
                if not isinstance(shard, str) or shard in ("", "..") or PurePath(shard).name != shard:
                    raise InvalidModelError(
                        f"{self.name}: its weight_map names {shard!r}, which is not a file beside it"
                    )
                paths.setdefault(shard, []).append(path)
        return paths
