"""Where a module has its weights from."""

import binascii
import hashlib
import io
import os
import sys

import numpy as np


class Base64File(io.RawIOBase):
    """The bytes that lines of base64 stand for; all lines but the last are of one length.

    Bytes are decoded when they are read, so that an array is never in memory twice.
    """

    def __init__(self, lines):
        """Find out how many bytes a line holds, and how many all do."""
        self.lines = lines
        self.step = lines.index(b"\n") + 1
        self.width = len(binascii.a2b_base64(lines[: self.step]))
        whole = (len(lines) - 1) // self.step
        self.size = whole * self.width + len(binascii.a2b_base64(lines[whole * self.step :]))
        self.position = 0

    def readable(self):
        """As io.RawIOBase has it."""
        return True

    def seekable(self):
        """As io.RawIOBase has it."""
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        """As io.RawIOBase has it."""
        position = offset + (0, self.position, self.size)[whence]
        if position < 0:
            raise OSError("a seek before the start")
        self.position = position
        return position

    def tell(self):
        """As io.RawIOBase has it."""
        return self.position

    def readinto(self, buffer):
        """Decode the lines that hold the next bytes."""
        count = max(0, min(len(buffer), self.size - self.position))
        line, skip = divmod(self.position, self.width)
        stop = (skip + count - 1) // self.width + 1 if count else 0
        text = memoryview(self.lines)[line * self.step : (line + stop) * self.step]
        buffer[:count] = memoryview(binascii.a2b_base64(text))[skip : skip + count]  # views: no copies
        self.position += count
        return count


def read_embedded(lines):
    """The arrays of the .npz file that these lines of base64 stand for."""
    try:
        with np.load(Base64File(lines), allow_pickle=False) as npz:
            return {name: npz[name] for name in npz.files}
    except Exception as error:  # of many kinds, where the lines were cut or edited
        raise OSError(f"the weights in the module cannot be read; were its lines edited? {error}") from error


def read_sidecar(name, sha256, module):
    """The arrays of the .npz file `name` that belongs to the module with these globals.

    Raises OSError where there is none, or one of another module. A module that is run as a program ends with that line.
    """
    try:
        with open_sidecar(name, module) as file:
            digest = hashlib.sha256()
            for block in iter(lambda: file.read(2**20), b""):
                digest.update(block)
            if digest.hexdigest() != sha256:
                raise OSError(name + " does not belong to this module: its SHA-256 differs")
            file.seek(0)
            with np.load(file, allow_pickle=False) as npz:
                return {name: npz[name] for name in npz.files}
    except OSError as error:
        if module.get("__name__") == "__main__":
            raise SystemExit(str(error)) from None
        raise


def open_sidecar(name, module):
    """The file `name` for reading: beside the module, in its archive, or beside the archive or the frozen program."""
    here = os.path.dirname(module.get("__file__") or name)
    folders = [os.path.abspath(here)]
    while not os.path.isdir(folders[-1]) and len(folders) < 100:  # inside of an archive: at last the one that it is in
        folders.append(os.path.dirname(folders[-1]))
    if hasattr(sys, "frozen"):
        folders.append(os.path.dirname(sys.executable))
    for path in [os.path.join(folder, name) for folder in folders]:
        if os.path.isfile(path):
            return open(path, "rb")
    try:
        return io.BytesIO(module["__loader__"].get_data(os.path.join(here, name)))
    except (AttributeError, KeyError, OSError):  # no loader, one of another kind, no such file in the archive
        raise OSError(f"{name}, which holds the weights, is missing: put it into {folders[-1]}") from None


def write_weights(path, weights):
    """Write arrays by name to an .npz file."""
    with open(path, "wb") as file:
        np.savez(file, **weights)


def read_weights(path, weights):
    """Replace the numbers in these arrays by those in an .npz file, all or none of them."""
    with np.load(path, allow_pickle=False) as npz:
        arrays = {name: npz[name] for name in npz.files}
    for name in sorted({*weights, *arrays}):
        mine, read = (str((a[name].shape, a[name].dtype.name)) if name in a else "none" for a in (weights, arrays))
        if mine != read:
            raise ValueError("{}: {} is {} in the file, {} in the module".format(path, name, read, mine))
    for name, array in arrays.items():
        weights[name][...] = array
