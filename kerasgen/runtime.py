"""What a module needs beside its kernels: finding its weights, and running from a shell.

Like the kernels, these functions are copied into the modules as they stand: Python 3.7, NumPy 1.17.
"""

import binascii
import hashlib
import io
import os

import numpy as np

MARKER = b"# weights: the bytes of an .npz file in base64\n"


class EmbeddedFile(io.RawIOBase):
    """The file whose base64 stands in the comment lines that follow MARKER in another file.

    Bytes are decoded when they are read, so that an array is never in memory twice.
    """

    def __init__(self, lines):
        """Find the first comment line in `lines`, an open binary file."""
        for line in lines:
            if line.replace(b"\r\n", b"\n") == MARKER:
                break
        self.start = lines.tell()
        first = lines.readline()
        if not first:
            raise OSError("the comment lines that hold them are gone")
        self.lines = lines
        self.step = len(first)
        self.width = len(binascii.a2b_base64(first))
        whole = (lines.seek(0, io.SEEK_END) - self.start - 1) // self.step
        lines.seek(self.start + whole * self.step)
        self.size = whole * self.width + len(binascii.a2b_base64(lines.read()))
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
        self.lines.seek(self.start + line * self.step)
        text = self.lines.read(((skip + count - 1) // self.width + 1) * self.step if count else 0)
        buffer[:count] = binascii.a2b_base64(text)[skip : skip + count]
        self.position += count
        return count


def read_embedded(path, loader):
    """The arrays of the .npz file inside the module at `path`; a loader knows modules that are inside an archive."""
    try:
        file = io.FileIO(path) if os.path.isfile(path) else io.BytesIO(loader.get_data(path))
        with io.BufferedReader(file) as lines, np.load(EmbeddedFile(lines), allow_pickle=False) as npz:
            return {name: npz[name] for name in npz.files}
    except Exception as error:  # of many kinds, where the lines were cut or edited
        raise OSError(f"{path}: cannot read the weights at its end: {error}") from error


def read_sidecar(path, sha256):
    """The arrays of an .npz file, after a check that it is the one which the module was written with."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    if digest.hexdigest() != sha256:
        raise OSError(path + " does not belong to this module: its SHA-256 differs")
    with np.load(path, allow_pickle=False) as npz:
        return {name: npz[name] for name in npz.files}


def main(predict, inputs, outputs, arguments=None):
    """Run `predict` on .npy files and save what it returns: `python model.py in.npy -o out.npy`."""
    import argparse
    import zipfile

    takes, gives = (", ".join(f"{name!a} {shape} {dtype}" for name, shape, dtype in side) for side in (inputs, outputs))
    parser = argparse.ArgumentParser(description=f"Takes {takes}; gives {gives}. None is any size.")
    parser.add_argument("files", nargs=len(inputs), metavar="in.npy", help="one array for each input, in this order")
    parser.add_argument("-o", "--output", metavar="out.npy", help="where to save; several outputs make an .npz file")
    options = parser.parse_args(arguments)
    arrays = []
    for path in options.files:
        try:
            with open(path, "rb") as file:
                arrays.append(np.lib.format.read_array(file, allow_pickle=False))
        except (OSError, ValueError) as error:
            parser.exit(1, f"{parser.prog}: {path}: cannot be read as .npy: {error}\n")
    try:
        result = predict(*arrays)
        if not isinstance(result, dict):
            results = [result] if len(outputs) == 1 else result
            result = dict(zip([name for name, _, _ in outputs], results))
        if options.output is None:
            for name, array in result.items():
                print(f"{name!a} {array.shape} {array.dtype}")
                print(np.array2string(array, threshold=1000, max_line_width=120))
        elif len(outputs) == 1:
            with open(options.output, "wb") as file:
                np.save(file, *result.values())
        else:
            with zipfile.ZipFile(options.output, "w") as archive:  # np.savez cannot name an array `file`
                for name, array in result.items():
                    with archive.open(name + ".npy", "w", force_zip64=True) as file:
                        np.save(file, array)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
