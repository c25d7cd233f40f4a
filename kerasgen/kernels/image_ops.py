"""Images: colours, patches, filters and transforms. Images are (N, H, W, C)."""

import numpy as np

from kerasgen.kernels.resize import cubic, lanczos, triangle
from kerasgen.kernels.window import pad, padded, taps, windows


def rgb_to_grayscale(x):
    """Perceived brightness, a weighted sum of red, green and blue: (N, H, W, 3) → (N, H, W, 1)."""
    kind = x.dtype if x.dtype.kind == "f" else np.float32
    return np.sum(x * np.array([0.2989, 0.587, 0.114], kind), axis=-1, keepdims=True).astype(x.dtype)


def rgb_to_hsv(x):
    """Red, green and blue to hue, saturation and value: shape kept."""
    red, green, blue = x[..., 0], x[..., 1], x[..., 2]
    value = np.max(x, axis=-1)
    spread = value - np.min(x, axis=-1)
    saturation = np.where(value > 0, spread / np.where(value > 0, value, 1), 0)
    sixth = 1 / (6 * np.where(spread > 0, spread, 1))
    hue = np.where(
        red == value,
        sixth * (green - blue),
        np.where(green == value, sixth * (blue - red) + 2 / 6, sixth * (red - green) + 4 / 6),
    )
    return np.stack((np.where(hue < 0, hue + 1, hue), saturation, value), axis=-1).astype(x.dtype)


def hsv_to_rgb(x):
    """Hue, saturation and value to red, green and blue: shape kept."""
    hue, saturation, value = x[..., 0] * 6, x[..., 1], x[..., 2]
    shares = np.abs(hue - 3) - 1, 2 - np.abs(hue - 2), 2 - np.abs(hue - 4)
    return np.stack([(1 - saturation + saturation * np.clip(s, 0, 1)) * value for s in shares], axis=-1)


def extract_patches(x, *, size, strides, dilation=(1, 1), pad=None):
    """Every window as one vector: (N, H, W, C) → (N, OH, OW, kh * kw * C)."""
    cells = windows(padded(x, size, strides, dilation, pad), size, strides, dilation)
    rank = len(size)
    return cells.reshape(cells.shape[: rank + 1] + (int(np.prod(cells.shape[rank + 1 :])),))


def unfold(x, *, size, strides, dilation, pads):
    """Every window as a column: (N, C, H, W) → (N, C * kh * kw, OH * OW)."""
    cells = windows(pad(np.moveaxis(x, 1, -1), pads=pads), size, strides, dilation)
    n, oh, ow, kh, kw, c = cells.shape
    return cells.transpose(0, 5, 3, 4, 1, 2).reshape(n, c * kh * kw, oh * ow)


def fold(x, *, sizes, size, strides, dilation, pads):
    """The reverse of `unfold`, overlaps added up: (N, C * kh * kw, OH * OW) → (N, C, *sizes)."""
    n, c = x.shape[0], x.shape[1] // int(np.prod(size))
    y = np.zeros((n, *(a + length + b for length, (a, b) in zip(sizes, pads)), c), x.dtype)
    targets = list(taps(y, size, strides, dilation))
    columns = x.reshape((n, c, len(targets)) + targets[0].shape[1:-1])
    for i, target in enumerate(targets):
        target += np.moveaxis(columns[:, :, i], 1, -1)
    inner = tuple(slice(a, a + length) for length, (a, _) in zip(sizes, pads))
    return np.moveaxis(y[(slice(None),) + inner], -1, 1)


def sobel_edges(x):
    """Sobel gradients along height and width: (N, H, W, C) → (N, H, W, C, 2)."""
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    down = x[:, 2:] - x[:, :-2]
    across = x[:, :, 2:] - x[:, :, :-2]
    down = down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]
    across = across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]
    return np.stack((down, across), axis=-1)


def ssim(a, b, window, *, max_val=1.0, k1=0.01, k2=0.03):
    """Structural similarity of two images (Wang et al. 2004), statistics weighted by a window: (N, H, W, C) → (N,).

    Variances are differences of larger means. Error up to 10000 eps.
    """
    ones = (1,) * window.ndim

    def mean(x):
        return np.einsum("nhwijc,ij->nhwc", windows(x, window.shape, ones, ones), window)

    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    mean_a, mean_b = mean(a), mean(b)
    variances = mean(a * a) - mean_a * mean_a + mean(b * b) - mean_b * mean_b
    covariance = mean(a * b) - mean_a * mean_b
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    similarity /= (mean_a * mean_a + mean_b * mean_b + c1) * (variances + c2)
    return np.mean(similarity, axis=(1, 2, 3))


def homography(start, end):
    """The coefficients of the projective transform that maps end points to start points: twice (N, 4, 2) → (N, 8)."""
    n = len(start)
    points = np.concatenate((end, np.ones((n, 4, 1), end.dtype)), axis=-1)
    equations = np.zeros((n, 4, 2, 8), end.dtype)
    equations[:, :, 0, 0:3] = points
    equations[:, :, 1, 3:6] = points
    equations[:, :, :, 6:8] = -start[:, :, :, np.newaxis] * end[:, :, np.newaxis, :]
    return np.linalg.solve(equations.reshape(n, 8, 8), start.reshape(n, 8, 1))[..., 0]


def folded(t, size, mode):
    """Coordinates outside an axis mapped to ones inside, by TensorFlow's rules; "constant" leaves them outside."""
    if mode == "reflect":  # dcba|abcd|dcba
        t = np.fmod(t, 2 * size)
        t = np.where(t < -size, t + 2 * size, np.where(t < 0, -t - 1, np.where(t < size, t, 2 * size - t - 1)))
    elif mode == "wrap":  # abcd|abcd|abcd
        last = max(size - 1, 1)
        t = t + size * np.where(t < 0, np.trunc(-t / last) + 1, np.where(t > last, -np.trunc(t / last), 0))
    return t if mode == "constant" else np.clip(t, 0, size - 1)


def projective_transform(x, transforms, *, interpolation="bilinear", fill_mode="constant", fill_value=0.0):
    """Projective transforms: (N, H, W, C), (N or 1, 8) → (N, H, W, C).

    The output at column u and row v is the input at ((au + bv + c) / k, (du + ev + f) / k) with k = gu + iv + 1.
    """
    n, h, w = x.shape[:3]
    a, b, c, d, e, f, g, i = np.moveaxis(transforms.astype(np.float32), -1, 0)[:, :, np.newaxis, np.newaxis]
    u, v = np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32)[:, np.newaxis]
    k = g * u + i * v + 1
    safe = np.where(k == 0, 1, k)
    columns = folded((a * u + b * v + c) / safe, w, fill_mode)
    rows = folded((d * u + e * v + f) / safe, h, fill_mode)

    def read(row, column):
        inside = (row >= 0) & (row < h) & (column >= 0) & (column < w) & (k != 0)
        cells = (np.clip(place, 0, size - 1).astype(int) for place, size in ((row, h), (column, w)))
        row, column = cells
        return np.where(inside[..., np.newaxis], x[np.arange(n)[:, np.newaxis, np.newaxis], row, column], fill_value)

    if interpolation == "nearest":
        return read(*(np.copysign(np.floor(np.abs(t) + 0.5), t) for t in (rows, columns))).astype(x.dtype)
    top, left = np.floor(rows), np.floor(columns)
    down, across = (rows - top)[..., np.newaxis], (columns - left)[..., np.newaxis]
    upper = (1 - across) * read(top, left) + across * read(top, left + 1)
    lower = (1 - across) * read(top + 1, left) + across * read(top + 1, left + 1)
    return ((1 - down) * upper + down * lower).astype(x.dtype)


def map_coordinates(x, coordinates, *, order, fill_mode="constant", fill_value=0.0):
    """`x` interpolated at coordinates, nearest (order 0) or linear (order 1): coordinates (x.ndim, ...) → (...)."""
    sizes = np.reshape(x.shape, (x.ndim,) + (1,) * (coordinates.ndim - 1))
    low = np.floor(coordinates) if order else np.rint(coordinates)
    y = 0
    for corner in np.ndindex(*(order + 1,) * x.ndim):
        step = np.reshape(corner, sizes.shape)
        weights = np.where(step == 1, coordinates - low, 1 - (coordinates - low) if order else 1)
        cells = low.astype(int) + step
        inside = ((cells >= 0) & (cells < sizes)).all(axis=0) if fill_mode == "constant" else True
        if fill_mode in ("mirror", "reflect"):
            cells = np.abs(cells) % (2 * sizes)
            cells = np.where(cells < sizes, cells, 2 * sizes - cells - (fill_mode == "reflect"))
        else:
            cells = cells % sizes if fill_mode == "wrap" else np.clip(cells, 0, sizes - 1)
        values = np.where(inside, x[tuple(cells)], fill_value)
        y = y + weights.prod(axis=0).astype(coordinates.dtype) * values.astype(coordinates.dtype)
    return (y if x.dtype.kind == "f" else np.rint(y)).astype(x.dtype)


def placed_matrix(size, new, scale, translation, method, antialias):
    """The (size, new) matrix that scales and translates one axis: column j holds the weights of new cell j."""
    step = 1 / scale
    places = (np.arange(new, dtype=step.dtype) + 0.5) * step - translation * step - 0.5
    distance = np.abs(places - np.arange(size, dtype=step.dtype)[:, np.newaxis])
    distance = distance / max(step, 1) if antialias else distance
    if method.startswith("lanczos"):
        weights = lanczos(distance, {"lanczos3": 3, "lanczos5": 5}[method])
    else:
        weights = cubic(distance) if method.endswith("cubic") else triangle(distance)
    total = weights.sum(axis=0)
    covered = (np.abs(total) > 1000 * np.finfo(np.float32).eps) & (places >= -0.5) & (places <= size - 0.5)
    return np.where(covered, weights / np.where(covered, total, 1), 0)


def scale_and_translate(x, scale, translation, *, sizes, axes, method, antialias=True):
    """Scale and translate each of these axes and crop or extend it to a size: the other sizes are kept.

    Integers are rounded and clipped to the range of x.
    """
    y = x if x.dtype.kind == "f" else x.astype(np.float32)
    for i, (axis, size) in enumerate(zip(axes, sizes)):
        weights = placed_matrix(x.shape[axis], size, scale[i], translation[i], method, antialias)
        y = np.moveaxis(np.tensordot(y, weights.astype(y.dtype), (axis, 0)), -1, axis)
    if x.dtype.kind == "f":
        return y
    return (np.clip(np.rint(y), x.min(), x.max()) if x.size else y).astype(x.dtype)
