"""The files that a module reads and writes as a program."""

import io

import numpy as np

from kerasgen.kernels.io import as_input


def read_inputs(paths, inputs, preprocess=None):
    """The arrays in these files: one file for each input, one with all of them by name, or a batch of a single input.

    `preprocess` makes the input of images. Raises ValueError, which names the file.
    """
    if len(inputs) > 1 and len(paths) > 1:
        return [array for path, one in zip(paths, inputs) for array in read_input(path, [one])]
    first, *others = [read_input(path, inputs, preprocess) for path in paths]
    for path, (array,) in zip(paths[1:], others):
        if array.shape[1:] != first[0].shape[1:]:
            raise ValueError(f"{path}: holds {array.shape[1:]}, {paths[0]} {first[0].shape[1:]}: they make no batch")
    return [np.concatenate([first[0]] + [array for (array,) in others])] if others else first


def read_input(path, inputs, preprocess=None):
    """The arrays for these inputs in a file; if it does not hold names, that is the first one alone."""
    try:
        content = read_file(path)
    except Exception as error:  # of many kinds, from NumPy, zipfile, json and Pillow
        raise ValueError(f"{path}: cannot be read: {error}") from error
    try:
        arrays = in_order(content, [name for name, _, _ in inputs]) if isinstance(content, dict) else [content]
        return [fit_input(array, *each, preprocess=preprocess) for array, each in zip(arrays, inputs)]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_file(path):
    """What an .npy, .npz, .csv, JSON or image file holds, whatever its name: an array, or several by name."""
    with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
        file = file if file.seekable() else io.BytesIO(file.read())
        start = file.read(6)
        file.seek(0)
        if start == b"\x93NUMPY":
            return np.lib.format.read_array(file, allow_pickle=False)
        if start.startswith(b"PK"):
            with np.load(file, allow_pickle=False) as npz:
                return {name: npz[name] for name in npz.files}
        data = file.read()
    try:
        text = data.decode("utf-8-sig")
    except ValueError:
        return read_image(data)
    return read_image(data) if "\0" in text else read_text(text)


def read_text(text):
    """The numbers in JSON, or in lines with commas, of which the first may be names: whole ones are integers."""
    import json

    if text.strip().startswith(("[", "{")):
        data = json.loads(text)
        return {name: np.asarray(data[name]) for name in data} if isinstance(data, dict) else np.asarray(data)
    lines = text.split("\n")
    try:
        list(map(float, lines[0].split(",")))
    except ValueError:
        lines = lines[1:]
    if not "".join(lines).strip():
        raise ValueError("holds no numbers")
    numbers = np.loadtxt(lines, delimiter=",", ndmin=2)
    with np.errstate(invalid="ignore"):
        whole = numbers.astype(np.int64)
    return whole if np.array_equal(whole, numbers) else numbers


def read_image(data):
    """The pixels of an image file: (H, W) if it is grey, else (H, W, C), uint8."""
    try:
        import PIL.Image
    except ImportError:
        raise OSError("holds neither arrays nor text; to read images, install Pillow") from None
    try:
        image = PIL.Image.open(io.BytesIO(data))
    except OSError:
        raise OSError("holds neither arrays nor text, nor an image that Pillow can read") from None
    if image.mode.startswith(("I", "F")):
        raise ValueError("holds an image of more than 8 bits a channel")
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        image = image.convert("RGBA").convert("RGB")  # a palette may have transparent colours
    return np.array(image)


def in_order(arrays, names):
    """The arrays of these names, or all of them where they have other names."""
    if set(names) <= set(arrays):
        return [arrays[name] for name in names]
    if len(names) != len(arrays):
        raise ValueError(f"holds {', '.join(arrays) or 'nothing'}; the inputs are {', '.join(names)}")
    return list(arrays.values())


def fit_input(x, name, shape, dtype, preprocess=None):
    """An array as the input that it can only be: images preprocessed, rows made samples, a sample made a batch."""
    if preprocess is not None and x.dtype == np.uint8:
        x = preprocess(x)
    sample = shape[1:]
    if x.ndim == 2 and None not in sample and x.shape[1] == np.prod(sample):
        x = x.reshape((-1,) + sample)
    if x.ndim == len(sample) - 1 and sample[-1] == 1:  # a grey image
        x = x[..., np.newaxis]
    if x.ndim == len(sample) and all(size in (None, got) for size, got in zip(sample, x.shape)):
        x = x[np.newaxis]
    return as_input(x, name, shape, dtype)


def format_of(path, outputs):
    """How to write these outputs to a file of this name: npy, npz, csv or json. ValueError if it can hold but one."""
    kind = path.rpartition(".")[2].lower()
    if len(outputs) > 1 and kind in ("npy", "csv"):
        raise ValueError(f"{path}: a .{kind} file holds one array, not {len(outputs)}; .npz and .json hold several")
    return kind if kind in ("npz", "csv", "json") else "npy" if len(outputs) == 1 else "npz"


def save_arrays(file, arrays, kind):
    """Write arrays by name to a binary file. A line of csv is a sample; json is a list, of several arrays an object."""
    import json
    import zipfile

    if kind == "npy":
        np.save(file, *arrays.values())
    elif kind == "csv":
        (array,) = arrays.values()
        np.savetxt(file, array.reshape(len(array), int(np.prod(array.shape[1:]))), "%s", ",")
    elif kind == "json":
        lists = {name: array.tolist() for name, array in arrays.items()}
        file.write(json.dumps(lists if len(lists) > 1 else lists.popitem()[1]).encode())
    else:
        with zipfile.ZipFile(file, "w") as archive:  # np.savez cannot name an array `file`
            for name, array in arrays.items():
                with archive.open(name + ".npy", "w", force_zip64=True) as member:
                    np.save(member, array)
