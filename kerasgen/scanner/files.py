"""Scans files, archives and folders for dangers."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.names import printable
from kerasgen.readers import content, hdf5, keras_folder, keras_zip
from kerasgen.readers.content import MAX_TEXT, Content
from kerasgen.scanner.configs import look_through
from kerasgen.scanner.risks import Finding

# The risk behind a reader's reason, by how the reason begins; all others mean damage.
_REASONS = {
    "is a soft or external link": "elsewhere",
    "is stored in another file": "elsewhere",
    "is a symbolic link": "escape",
    "lies outside of it": "escape",
    "is there twice": "ambiguous",
    "is too large": "bomb",
    "unpacks": "bomb",
}
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_PICKLES = re.compile(r".*\.(npz|pickle|pkl|pt|pth|joblib)", re.IGNORECASE)  # are pickles, or may hold some
_TEXTS = re.compile(r"(config|metadata|.*\.weights)\.json")
_WEIGHTS = re.compile(r".*\.weights\.h5")
_ASSETS = re.compile(r"assets/.*|.*/", re.DOTALL)
_CONFIGS = ("model_config", "training_config")  # attributes of legacy HDF5


class Piece(hdf5.Place, Protocol):
    """A file on disk or in an archive; messages name both."""

    def read(self, size: int) -> bytes:
        """The first `size` bytes."""
        ...


@dataclass(frozen=True)
class _Member:
    """A file in an archive, named after both. Other members may have the same name."""

    archive: keras_zip.Archive
    info: zipfile.ZipInfo

    @property
    def name(self) -> str:
        """The name used in messages."""
        return self.archive.name

    def read(self, size: int) -> bytes:
        """The first `size` bytes."""
        with self.archive.opened() as archive, archive.open(self.info) as member:
            return member.read(size)

    def place(self) -> tuple[str, int, Iterable[bytes]]:
        """No path; the size in bytes, and the bytes in blocks."""
        return "", self.info.file_size, self.archive.blocks(self.info)


def look_at(file: Content) -> Iterator[Finding]:
    """Findings in a model. InvalidModelError if it is not one, FileError if it cannot be read."""
    if isinstance(file.data, Path) and file.data.is_dir():
        yield from _folder(file, file.data)
    elif _is_pickle(file, file.name):
        yield Finding("pickle", file.name, "a pickle, or arrays that may hold some")
    else:
        kinds = {"zip": _archive, "hdf5": _hdf5, "json": _text}
        yield from _going_on(kinds[content.kind(file)], file)


def _folder(file: Content, folder: Path) -> Iterator[Finding]:
    try:
        keras_folder.Folder(file)
    except UnsupportedModelError:
        yield Finding("program", file.name, "a SavedModel of TensorFlow")
        return
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file():
            yield from _part(Content(f"{file.name}: {printable(name)}", path), name)


def _archive(file: Content) -> Iterator[Finding]:
    with keras_zip.Archive(file).opened() as opened:
        members, length = opened.infolist(), keras_zip.length(opened)
    counts = Counter(member.filename for member in members)
    for info in members:
        both = Content(f"{file.name}: {printable(info.filename)}", file.data)
        member = _Member(keras_zip.Archive(both), info)
        faults = (
            "is there twice" if counts[info.filename] > 1 else "",
            "lies outside of it" if keras_zip.leads_out(info.filename) else "",
            keras_zip.fault(info, length),
        )
        yield from (_refused(member.name, fault) for fault in faults if fault)
        if not faults[-1]:
            yield from _part(member, info.filename)
    if "config.json" not in counts:
        yield Finding("damage", file.name, "not a Keras model: it holds no config.json")


def _part(piece: Piece, name: str) -> Iterator[Finding]:
    """Findings in one file of several; `name` is its name among them."""
    if _TEXTS.fullmatch(name):
        yield from _going_on(_text, piece)
    elif _WEIGHTS.fullmatch(name):
        yield from _going_on(_hdf5, piece)
    else:
        yield from _going_on(partial(_other, name=name), piece)


def _other(piece: Piece, name: str) -> Iterator[Finding]:
    """A file that does not have a name that Keras uses."""
    if _is_pickle(piece, name):
        yield Finding("pickle", piece.name, "a pickle, or arrays that may hold some")
        return
    if not _ASSETS.fullmatch(name):
        yield Finding("stranger", piece.name, "is no part of a model")
    if content.magic(piece.read(8)) == "hdf5":
        yield from _hdf5(piece)


def _is_pickle(piece: Piece, name: str) -> bool:
    return bool(_PICKLE.match(piece.read(2)) or _PICKLES.fullmatch(name))


def _going_on(look: Callable[[Any], Iterator[Finding]], piece: Piece) -> Iterator[Finding]:
    """What `look` finds in a piece; if the piece is damaged, that is the last finding."""
    try:
        yield from look(piece)
    except InvalidModelError as error:
        yield Finding("damage", piece.name, str(error).removeprefix(f"{piece.name}: "))


def _text(piece: Piece) -> Iterator[Finding]:
    text = piece.read(MAX_TEXT + 1)
    if len(text) > MAX_TEXT:
        yield _refused(piece.name, "is too large for what it is")
    else:
        yield from look_through(text, piece.name)


def _hdf5(piece: Piece) -> Iterator[Finding]:
    """The links and arrays of a file, and its configs."""
    arrays = []
    with hdf5.opened(hdf5.Single(piece)) as file:
        groups = [file.root]
        for group in groups:  # the list grows
            for name, thing in group.links.items():
                where = f"{piece.name}: {printable(group.name.rstrip('/'))}/{printable(name)}"
                if isinstance(thing, hdf5.Group):
                    groups.append(thing)
                elif isinstance(thing, str):
                    yield _refused(where, thing)
                else:
                    arrays.append(thing)
                    if thing.fault:
                        yield _refused(where, thing.fault)
        configs = {name: hdf5.text(file.root, name) for name in _CONFIGS if name in file.root.attrs}
    bomb = hdf5.bomb(arrays)
    if bomb:
        yield Finding("bomb", piece.name, f"its arrays {bomb}")
    for name, text in configs.items():
        yield from look_through(text, f"{piece.name}: {name}")


def _refused(where: str, reason: str) -> Finding:
    """The finding for something that a reader refuses for this reason."""
    risk = next((risk for start, risk in _REASONS.items() if reason.startswith(start)), "damage")
    return Finding(risk, where, reason.partition(";")[0])
