"""A Keras model as NumPy code, written by kerasgen 0.1.0.

    predict(image) -> digit

In a shell: python this_file.py image.npy -o out.npy
"""

# Only the public functions have annotations; type checkers skip the rest
# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs, no-warn-return-any
# mypy: disable-error-code="var-annotated, import-not-found, import-untyped"
# pyright: basic, analyzeUnannotatedFunctions=false, reportReturnType=false, reportMissingImports=false

import binascii
import collections
import contextlib
import io
import os
import queue
import threading
import time

import numpy as np

__all__ = ["INPUTS", "OUTPUTS", "backward", "forward", "load_weights", "predict", "save_weights", "train_step"]

# The SHA-256 covers the architecture and the weights, not the file; `keras` is the version that wrote the model
MODEL = {
    "name": "digits",
    "sha256": "<sha256>........................................................",
    "keras": "<version>",
}
# Which Keras the outputs were compared with, and the largest error allowed, relative to the largest output
VERIFIED = None
# The options of the export
EXPORT = {
    "kerasgen": "0.1.0",
    "optimize": 2,
    "gradients": {
        "trainable": ["shapes", "digit"],
        "inputs": False,
        "loss": "sparse_categorical_crossentropy",
        "optimizer": "adam",
    },
}

# name, shape, dtype; None is any size
INPUTS = (("image", (None, 8, 8, 1), "float32"),)
OUTPUTS = (("digit", (None, 10), "float32"),)
# The weights that training changes
TRAINABLE = ("shapes/kernel", "digit/kernel", "digit/bias")


def predict(image: np.ndarray) -> np.ndarray:
    """The model's answer. Arrays in the order of INPUTS, or by name; the first axis is the batch.

    The result may share memory with the inputs.
    """
    x = as_input(image, *INPUTS[0])  # (N, 8, 8, 1)
    x = conv2d(x, W["strokes/kernel"], W["strokes/bias"], pad=((1, 1), (1, 1)), activation=relu)  # (N, 8, 8, 16)
    x = conv2d(x, W["corners/kernel"], W["corners/bias"], pad=((1, 1), (1, 1)), activation=relu)  # (N, 8, 8, 32)
    x = max_pool(x, size=(2, 2), strides=(2, 2))  # (N, 4, 4, 32)
    x = conv2d(x, W["shapes/kernel"])  # (N, 2, 2, 48)
    x = batch_norm(
        x, W["shapes_norm/gamma"], W["shapes_norm/beta"], W["shapes_norm/moving_mean"], W["shapes_norm/moving_variance"]
    )  # (N, 2, 2, 48)
    x = relu(x)  # (N, 2, 2, 48)
    x = flatten(x)  # (N, 192)
    return dense(x, W["digit/kernel"], W["digit/bias"], activation=softmax)  # (N, 10)


def forward(image):
    """The model's answer, and what `backward` reads."""
    x = as_input(image, *INPUTS[0])
    x = conv2d(x, W["strokes/kernel"], W["strokes/bias"], pad=((1, 1), (1, 1)), activation=relu)
    x = conv2d(x, W["corners/kernel"], W["corners/bias"], pad=((1, 1), (1, 1)), activation=relu)
    halve = max_pool(x, size=(2, 2), strides=(2, 2))
    x = conv2d(halve, W["shapes/kernel"])
    x = batch_norm(
        x, W["shapes_norm/gamma"], W["shapes_norm/beta"], W["shapes_norm/moving_mean"], W["shapes_norm/moving_variance"]
    )
    shapes_relu = relu(x)
    flat = flatten(shapes_relu)
    digit = dense(flat, W["digit/kernel"], W["digit/bias"], activation=softmax)
    return digit, {"digit": digit, "flat": flat, "shapes_relu": shapes_relu, "halve": halve}


def backward(saved, d_digit):
    """The gradients of a loss in the weights, from its gradients in the outputs.

    `saved` comes from `forward`, and is used up.
    """
    d_weights = {}
    d = softmax_backward(d_digit, saved.pop("digit"))
    d_weights["digit/bias"] = bias_backward(d)
    d_weights["digit/kernel"] = dense_backward_kernel(saved.pop("flat"), d)
    d = dense_backward(d, W["digit/kernel"])
    d = reshape(d, shape=(2, 2, 48))
    d = relu_backward(d, saved.pop("shapes_relu"))
    d = batch_norm_backward(d, W["shapes_norm/gamma"], W["shapes_norm/moving_variance"])
    d_weights["shapes/kernel"] = conv_backward_kernel(
        saved.pop("halve"), d, window=(3, 3), strides=(1, 1), dilation=(1, 1), pad=None
    )
    return None, d_weights


def train_step(inputs, targets):
    """One step of training on a batch; returns the loss before it."""
    outputs, saved = forward(inputs)
    loss, d = sparse_categorical_crossentropy_loss(outputs, targets)
    _, d_weights = backward(saved, d)
    OPTIMIZER.update(W, d_weights)
    return loss


def save_weights(path: str) -> None:
    """Write the weights that training changes to an .npz file."""
    write_weights(path, {name: W[name] for name in TRAINABLE})


def load_weights(path: str) -> None:
    """Go on with weights that `save_weights` wrote. ValueError where names, shapes or dtypes are others."""
    read_weights(path, {name: W[name] for name in TRAINABLE})


# Kernels


ACCEPTED_KINDS = {"c": "cfiub", "f": "fiub", "i": "iub", "u": "iub", "b": "b"}


def as_input(x, name, shape, dtype):
    """The argument as a contiguous array of this dtype, or a ValueError that names the input; None is any size."""
    x = np.asarray(x)
    fits = x.ndim == len(shape) and x.shape[1:] == shape[1:] and shape[0] is None
    if fits and x.dtype == dtype and x.flags.c_contiguous:
        return x  # the common case; skips the slower checks
    dtype = np.dtype(dtype)
    if x.dtype.kind not in ACCEPTED_KINDS[dtype.kind]:
        raise ValueError(f"input {name!r} takes {dtype.name}, not {x.dtype.name}")
    if x.ndim != len(shape) or any(size not in (None, got) for size, got in zip(shape, x.shape)):
        raise ValueError(f"input {name!r} takes the shape {tuple(shape)}, the batch first, not {x.shape}")
    y = np.ascontiguousarray(x, dtype)
    if dtype.kind in "iu" and not np.array_equal(x, y):
        raise ValueError(f"input {name!r} holds a number that does not fit into {dtype.name}")
    return y


def conv2d(x, kernel, bias=None, *, strides=(1, 1), dilation=(1, 1), pad=None, activation=None):
    """Convolution: (N, H, W, C) with a kernel (kh, kw, C, F) → (N, OH, OW, F)."""
    return finish(convolve(x, kernel, strides, dilation, pad), bias, activation)


def finish(y, bias, activation):
    """Add the bias in place, as `y` is always a new array, then apply the activation."""
    if bias is not None:
        part = y.reshape(bias.shape) if y.size == bias.size else y  # arrays of one shape take a third of the time
        part += bias
    return y if activation is None else activation(y)


def convolve(x, kernel, strides, dilation, pad):
    """Every window times the kernel: (N, H, W, C) with a kernel (kh, kw, C, F) → (N, OH, OW, F), any number of axes."""
    window, f = kernel.shape[:-2], kernel.shape[-1]
    cells = windows(padded(x, window, strides, dilation, pad), window, strides, dilation)
    depth = kernel.size // f
    y = matmul(cells.reshape(cells.size // depth, depth), kernel.reshape(depth, f))
    return y.reshape(cells.shape[: x.ndim - 1] + (f,))


def windows(x, window, strides, dilation):
    """A view of every window, without a copy: (N, H, W, C) → (N, OH, OW, kh, kw, C)."""
    n, *sizes, c = x.shape
    step_n, *steps, step_c = x.strides
    shape = (n, *window_counts(sizes, window, strides, dilation), *window, c)
    steps = (step_n, *(t * s for t, s in zip(steps, strides)), *(t * d for t, d in zip(steps, dilation)), step_c)
    if x.flags.c_contiguous:  # the same view, ten times faster to create
        return np.ndarray(shape, x.dtype, x, 0, steps)
    return np.lib.stride_tricks.as_strided(x, shape, steps, writeable=False)


def window_counts(sizes, window, strides, dilation):
    """How many windows fit along each axis."""
    counts = tuple((size - (k - 1) * d - 1) // s + 1 for size, k, s, d in zip(sizes, window, strides, dilation))
    if min(counts) < 1:
        raise ValueError(f"a window of {window}, dilated by {dilation}, does not fit into {tuple(sizes)}")
    return counts


def padded(x, window, strides, dilation, pads, value=0.0):
    """The array with the padding its windows need: None, (before, after) per axis, or "same" for any size."""
    if pads is None:
        return x
    if pads == "same":
        pads = same_pads(x.shape[1:-1], window, strides, dilation)
    return pad(x, pads=pads, value=value)


def same_pads(sizes, window, strides, dilation):
    """The (before, after) of each axis with which ceil(size / stride) windows fit.

    TensorFlow puts the odd cell at the end, and the total depends on the size and the stride.
    """
    totals = [
        max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
        for size, k, s, d in zip(sizes, window, strides, dilation)
    ]
    return tuple((total // 2, total - total // 2) for total in totals)


def pad(x, *, pads, value=0.0):
    """Pad with one value: (N, H, W, C) → (N, H + top + bottom, W + left + right, C).

    `pads` holds (before, after) for every axis between the first and the last; `value` may differ by channel.
    """
    if not any(map(any, pads)):
        return x
    inside, y = surround(x.shape, x.dtype, pads, value)
    inside[...] = x
    return y


def surround(shape, dtype, pads, value=0.0, empty=np.empty):
    """An array (N, H, W, C) to fill, and the same one with its border of one value, as in `pad`."""
    n, *sizes, c = shape
    whole = empty((n, *(a + size + b for size, (a, b) in zip(sizes, pads)), c), dtype)
    inside = (slice(None),)
    for size, (a, b) in zip(sizes, pads):
        whole[inside + (slice(0, a),)] = value
        whole[inside + (slice(a + size, a + size + b),)] = value
        inside += (slice(a, a + size),)
    return whole[inside], whole


def has_blas():
    """Whether `np.matmul` is faster than `np.einsum`: not if NumPy knows of no BLAS, else timed, in less than 1 ms."""
    try:
        if not np.__config__.CONFIG["Build Dependencies"]["blas"].get("found"):
            return False
    except (AttributeError, KeyError):  # before NumPy 1.26
        pass
    x = np.ones((48, 48), np.float32)
    return best_time(np.matmul, x, x) < best_time(np.einsum, "mk,nk->mn", x, x)


def best_time(function, *arrays):
    """The seconds that the fastest of three calls takes."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        function(*arrays)
        times.append(time.perf_counter() - start)
    return min(times)


BLAS = has_blas()


def matmul(x, y, out=None):
    """x @ y: (..., M, K), (..., K, N) → (..., M, N).

    The inner loop of `einsum` goes along y as it lies in memory: the longer, the faster.
    """
    if BLAS:
        if out is None and x.ndim == y.ndim == 2 and len(x) == 1:
            return x.dot(y)  # the same, with half of the overhead
        return np.matmul(x, y, out=out)
    (rows, depth), columns = x.shape[-2:], y.shape[-1]
    if depth >= columns and rows > 15:  # of fewer rows, the products take no longer than the copy
        y = by_columns(y)
    settings = {} if out is None else {"out": out}  # NumPy 1.17 takes no None
    return np.einsum("...mk,...kn->...mn", x, y, **settings)


def by_columns(y):
    """The same matrices (..., K, N), with the K numbers of a column side by side in memory."""
    return np.swapaxes(np.ascontiguousarray(np.swapaxes(y, -2, -1)), -2, -1)


def relu(x, out=None):
    """max(x, 0), against an array of zeros: against a single zero, NumPy takes two to four times as long.

    An array of the shape of x is the fastest while it stays in the cache; then, one row of an image.
    """
    if not BLAS and by_bits(x):
        return clip_bits(x, np.inf, out)
    zeros = np.zeros(x.shape if x.size < 32768 else x.shape[1:][-2:], x.dtype)
    return np.maximum(x, zeros, out=out)


def by_bits(x):
    """Whether `clip_bits` is right: no number is a NaN, which makes their sum one.

    It is faster without SIMD, which NumPy lacks in Pyodide, as it lacks a BLAS. Where it lacks the BLAS alone, both
    ways take the same time.
    """
    return x.dtype.kind == "f" and not np.isnan(np.einsum("i->", x.reshape(-1)))


def clip_bits(x, high, out=None):
    """min(max(x, 0), high) of the bits as integers: they are in the order of the floats from 0 on, and below 0 else."""
    y, bits = np.empty_like(x) if out is None else out, f"i{x.itemsize}"
    np.clip(x.view(bits), 0, np.full((), high, x.dtype).view(bits), out=y.view(bits))
    return y


def max_pool(x, *, size, strides, pad=None):
    """The largest cell of each window: (N, H, W, C) → (N, OH, OW, C). Padding is ignored."""
    return reduce_windows(np.maximum, x, size, strides, pad)


def reduce_windows(ufunc, x, size, strides, pads=None):
    """Combine the cells of each window by a ufunc, one axis after the other: (N, H, W, C) → (N, OH, OW, C).

    `pads` are None, "same" or from `same_pads`, but nothing is padded: windows at an edge have fewer cells.
    """
    if pads == "same":
        pads = same_pads(x.shape[1:-1], size, strides, (1,) * len(size))
    for axis, (k, s) in enumerate(zip(size, strides), start=1):
        length, (before, after) = x.shape[axis], (0, 0) if pads is None else pads[axis - 1]
        count = (before + length + after - k) // s + 1
        if count < 1:
            raise ValueError(f"a window of {size} does not fit into {x.shape[1:-1]}")
        if not before and not after:
            x = slide(ufunc, x, axis, k, s, 0, count)
            continue
        outer = (slice(None),) * axis
        y = np.empty(x.shape[:axis] + (count,) + x.shape[axis + 1 :], x.dtype)
        low = min(-(-before // s), count)  # from here to `high`, windows lie inside
        high = max(low, min((before + length - k) // s + 1, count))
        for i in [*range(low), *range(high, count)]:
            cells = x[outer + (slice(max(i * s - before, 0), i * s - before + k),)]
            ufunc.reduce(cells, axis=axis, keepdims=True, out=y[outer + (slice(i, i + 1),)])
        if low < high:
            slide(ufunc, x, axis, k, s, low * s - before, high - low, out=y[outer + (slice(low, high),)])
        x = y
    return x


def slide(ufunc, x, axis, k, s, start, count, out=None):
    """Combine the k cells of each of `count` windows along an axis; the first begins at `start`."""
    outer, stop = (slice(None),) * axis, start + (count - 1) * s + 1
    first, *others = (x[outer + (slice(start + i, stop + i, s),)] for i in range(k))
    if not others:
        return np.positive(first, out=out)
    for cells in others:
        first = out = ufunc(first, cells, out=out)
    return out


def batch_norm(x, gamma, beta, mean, variance, *, axis=-1, epsilon=1e-3):
    """(x - mean) / √(variance + ε) * gamma + beta, as one scale and one shift per channel of `axis`: shape kept.

    Without an axis the parameters broadcast as they are. Error up to 8 eps of scale * (|x| + |mean|) + |beta|.
    """
    scale = 1.0 / np.sqrt(variance + epsilon)
    if gamma is not None:
        scale = scale * gamma
    shift = -mean * scale
    if beta is not None:
        shift = shift + beta
    if axis is not None:
        scale, shift = along(scale, (axis,), x.ndim), along(shift, (axis,), x.ndim)
    y = x * scale
    y += shift
    return y


def along(weight, axes, ndim):
    """The weight, shaped to broadcast along these axes of an array of rank `ndim`."""
    shape = [1] * ndim
    for axis, size in zip(sorted(axis % ndim for axis in axes), weight.shape):
        shape[axis] = size
    return weight.reshape(shape)


def flatten(x):
    """Merge all axes but the batch: (N, ...) → (N, D)."""
    return x.reshape(len(x), -1 if x.size else int(np.prod(x.shape[1:])))


def dense(x, kernel, bias=None, *, activation=None):
    """Matrix product over the last axis: (N, ..., C) with a kernel (C, F) → (N, ..., F)."""
    if x.ndim == 2:
        return finish(matmul(x, kernel), bias, activation)
    c, f = kernel.shape
    y = matmul(x.reshape(x.size // c, c), kernel)
    return finish(y.reshape(x.shape[:-1] + (f,)), bias, activation)


def softmax(x, *, axis=-1):
    """exp(x) / sum(exp(x)) along `axis`; subtracting the maximum changes nothing but the overflow.

    Error up to 8 eps; relative to the result, up to 8 eps (1 + maximum - x).
    """
    y = np.exp(x - np.maximum.reduce(x, axis=axis, keepdims=True))
    y /= np.add.reduce(y, axis=axis, keepdims=True)
    return y


def softmax_backward(d, y, *, axis=-1):
    """(d - Σ d y) * y, the sum taken along `axis`."""
    z = d * y
    z -= y * np.sum(z, axis=axis, keepdims=True)
    return z


def bias_backward(d):
    """The sum over all cells: (N, ..., F) → (F,). Each sample is added up by itself: short sums are accurate."""
    cells = product(d.shape[1:-1])
    if cells > 1:
        d = np.ones(cells, d.dtype) @ d.reshape(len(d), cells, d.shape[-1])
    return np.sum(d.reshape(len(d), d.shape[-1]), axis=0)


def product(sizes):
    """The product of the sizes. np.prod would take longer than everything else around a small layer."""
    total = 1
    for size in sizes:
        total *= size
    return total


def dense_backward_kernel(x, d):
    """Of y = x @ kernel, the gradient of the kernel is x' @ d: (N, ..., C), (N, ..., F) → (C, F)."""
    c, f = x.shape[-1], d.shape[-1]
    return x.reshape(x.size // c, c).T @ d.reshape(d.size // f, f)


def dense_backward(d, kernel):
    """Of y = x @ kernel, the gradient of x is d @ kernel': (N, ..., F), (C, F) → (N, ..., C)."""
    c, f = kernel.shape
    return (d.reshape(d.size // f, f) @ kernel.T).reshape(d.shape[:-1] + (c,))


def reshape(x, *, shape):
    """Reshape each sample; one size may be -1, for the rest: (N, ...) → (N, *shape)."""
    if -1 in shape:  # NumPy cannot infer it for an empty batch
        rest = int(np.prod(x.shape[1:])) // abs(int(np.prod(shape)))
        shape = [rest if size == -1 else size for size in shape]
    return x.reshape((x.shape[0], *shape))


def relu_backward(d, y):
    """d where x exceeds 0, as y does."""
    return d * (y > 0)


def batch_norm_backward(d, gamma, variance, *, axis=-1, epsilon=1e-3):
    """d * gamma / √(variance + ε): shape kept."""
    scale = 1.0 / np.sqrt(variance + epsilon)
    if gamma is not None:
        scale = scale * gamma
    return d * (scale if axis is None else along(scale, (axis,), d.ndim))


MOST = 8  # threads by default: more would only wait for each other, since one at a time holds the interpreter


def thread_count(text, cores):
    """How many threads KERASGEN_THREADS asks for: a number; `auto`, one per core; `blas`, as many as OpenBLAS has.

    But with `blas`, no more than MOST.
    """
    if text == "auto":
        return cores or 1
    if text == "blas":
        control = blas_threads()
        return min(control[0](), MOST) if control else 1
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"KERASGEN_THREADS is {text!r}, where a number of threads or auto is expected")
    return int(text)


OPENBLAS = (  # how the builds of NumPy 2, of NumPy from 1.22 on, and all others name its functions
    "scipy_openblas_%s_num_threads64_",
    "scipy_openblas_%s_num_threads",
    "openblas_%s_num_threads64_",
    "openblas_%s_num_threads",
)


def blas_threads():
    """The functions of OpenBLAS that get and set its number of threads; None if NumPy has another BLAS."""
    try:
        import ctypes

        blas = ctypes.CDLL(np.linalg._umath_linalg.__file__)
    except (AttributeError, ImportError, OSError, TypeError):
        return None
    for name in OPENBLAS:
        if hasattr(blas, name % "set"):
            return blas[name % "get"], blas[name % "set"]
    return None


THREADS = thread_count(os.environ.get("KERASGEN_THREADS") or "1", os.cpu_count())  # that share the blocks of a layer


def conv_backward_kernel(x, d, *, window, strides, dilation, pad):
    """Windows' @ d: (N, H, W, C), (N, OH, OW, F) → (kh, kw, C, F), any number of axes."""
    c, f = x.shape[-1], d.shape[-1]
    x = padded(x, window, strides, dilation, pad)
    if max(window) == max(strides) == 1:
        return dense_backward_kernel(x, d).reshape(window + (c, f))
    depth = product(window) * c
    cells = window_rows(x, window, strides, dilation)
    tasks = pieces(d.shape, depth, x.itemsize)
    sums = np.zeros((THREADS, depth, f), np.result_type(x, d))

    def work(first):
        for at in tasks[first::THREADS]:
            rows = d[at].size // f
            unfolded = np.ascontiguousarray(cells[at]).view(x.dtype).reshape(rows, depth)
            sums[first] += unfolded.T @ d[at].reshape(rows, f)

    each(work, range(THREADS), d.size * depth)
    return sum(sums[1:], sums[0]).reshape(window + (c, f))


def window_rows(x, window, strides, dilation):
    """`windows` with each row of kw cells as one item, which is copied faster than its numbers.

    (N, H, W, C) → (N, OH, OW, kh) items of kw * C numbers, if contiguous; `view(x.dtype)` of a copy has the numbers.
    """
    cells = windows(x, window, strides, dilation)
    if dilation[-1] > 1 or not x.flags.c_contiguous:
        return cells
    item = np.dtype((np.void, window[-1] * x.shape[-1] * x.itemsize))
    return np.ndarray(cells.shape[:-2], item, x, 0, cells.strides[:-2])


def pieces(shape, depth, itemsize):
    """Slices of samples and rows of (N, OH, OW, F), with some megabyte of windows of `depth` numbers in each."""
    n, rows, width = shape[0], shape[1], product(shape[2:-1])
    step = max(block_rows(width * depth * itemsize, width), 1024 // width)
    if step < rows:
        return [(slice(i, i + 1), slice(j, min(j + step, rows))) for i in range(n) for j in range(0, rows, step)]
    return [(slice(i, min(i + step // rows, n)), slice(0, rows)) for i in range(0, n, step // rows)]


BLOCK = 1_048_576  # bytes of a block, which fits in one core's cache


def block_rows(row, width=256):
    """The number of rows of a block, for `row` bytes each. Products of few cells (under 256 for 1 MB) would be slow."""
    return max(1, BLOCK // max(row, 1), -(-BLOCK // 4096 // max(width, 1)))


PRODUCTS = os.environ.get("OPENBLAS_NUM_THREADS") == "1"  # ours share its products, too: the BLAS has one thread


PAYS = 4_000_000  # multiplications from which on waking the threads pays


def each(work, tasks, cost):
    """Do all the tasks, with other threads if they are many multiplications and the BLAS has no threads for them."""
    if THREADS > 1 and PRODUCTS and cost > PAYS:
        share(work, tasks)
    else:
        for task in tasks:
            work(task)


def share(work, tasks):
    """Do all the tasks, in this thread and those of the pool.

    When this returns or raises, even after Ctrl-C, no thread works on them any more: the arrays are the caller's again.
    """
    waiting, errors = collections.deque(tasks), []

    def do_tasks():
        while waiting:
            try:
                task = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            work(task)

    def help_out(lock):
        if lock.acquire(False):  # otherwise the call has ended
            try:
                do_tasks()
            except BaseException as error:
                waiting.clear()
                errors.append(error)
            finally:
                lock.release()

    calls, count = thread_pool()
    locks = [threading.RLock() for _ in range(count)]  # each held by a helper while it works, finally by the caller
    try:
        for lock in locks:
            calls.put(lambda lock=lock: help_out(lock))
        do_tasks()
        acquire(locks)
    except BaseException:  # of a task, or Ctrl-C, which may also come while this waits
        waiting.clear()
        acquire(locks)
        raise
    if errors:
        raise errors.pop()


class ThreadPool:
    """The threads that help, and the queue of their calls. A pickled copy has none."""

    threads, calls = (), None

    def __reduce__(self):
        """Pickle it without its threads."""
        return ThreadPool, ()


POOL = ThreadPool()


LINE = 16  # int64 numbers; counters this far apart never share a cache line


SPIN = 1000  # reads of a counter before yielding the core: about 50 us


WORTH = 2_000_000  # multiplications from which on sharing a layer pays: about 60 us in one process


YIELD = 300  # yields before sleeping


LEFT = 1 << 62  # more steps than anybody takes


class Team(threading.local):
    """This thread's place in its team. A pickled copy is alone, as every thread is until it joins a team.

    `threads` is how many threads share the blocks of a layer in this call; while they also share its products, the BLAS
    has one thread, and `products` is true. If they share the samples of a batch instead, each computes up to
    `samples` at once, `apart` from the others.
    """

    rank, size, threads, products, samples, apart = 0, 1, 1, False, 1, False

    def __reduce__(self):
        """Pickle it without its team."""
        return Team, ()

    def join(self, rank, size, memory):
        """Become number `rank` of `size` processes with the same `memory`."""
        self.rank, self.size, self.memory = rank, size, memory
        self.counters = memoryview(memory.array(memory.take(8 * LINE * size), (LINE * size,), np.int64))
        self.steps, self.results, self.places = 0, 0, {}
        self.spin = SPIN if size <= (os.cpu_count() or 1) else 0
        self.yielded = getattr(os, "sched_yield", lambda: time.sleep(0))
        self.lock = threading.Lock()
        self.lock.acquire()

    @contextlib.contextmanager
    def on_samples(self, count, threads):
        """For a `with` statement: inside it, this thread, one of `threads`, computes up to `count` samples."""
        before = self.samples, self.threads, self.apart
        self.samples, self.threads, self.apart = count, max(self.threads, threads), threads > 1
        try:
            yield
        finally:
            self.samples, self.threads, self.apart = before

    def shares(self, cost):
        """Whether the team shares a layer that takes `cost` multiplications."""
        return self.size > 1 and cost > WORTH

    def share(self, count):
        """This process's share of `count` rows or columns: the first one, and the first one of the next process."""
        return tuple(count * rank // self.size for rank in (self.rank, self.rank + 1))

    def fence(self):
        """A full memory fence: releasing and acquiring a lock is one, on x86 and Armv8."""
        self.lock.release()
        self.lock.acquire()

    def barrier(self):
        """Wait for all processes. Afterwards, what each has written is visible to the others."""
        self.steps += 1
        self.fence()
        self.counters[LINE * self.rank] = self.steps
        for other in range(self.size):
            waited = -self.spin
            while self.counters[LINE * other] < self.steps:
                waited += 1
                if waited > YIELD:
                    time.sleep(5e-5)
                elif waited > 0:
                    self.yielded()
        self.fence()

    def leave(self):
        """Let the others pass all barriers: this one will not come to them any more."""
        self.counters[LINE * self.rank] = LEFT

    def place(self, size, out):
        """The place of an array in the buffer `out`, or of a new array."""
        self.results += out is None
        key = self.results if out is None else out
        if key not in self.places or self.places[key][0] < size:
            self.places[key] = size, self.memory.take(size)
        return self.places[key][1]

    def empty(self, shape, dtype, out):
        """An array for the rows of a layer, shared by the team: in the buffer `out`, or a new one."""
        size = dtype.itemsize
        for count in shape:
            size *= count
        return self.memory.array(self.place(size, out), shape, dtype)


TEAM = Team()


def thread_pool():
    """The queue of calls for the pool, and the number of its threads, which start when they are first needed.

    The number is 0 if no thread can start (Pyodide, WASI), and smaller than wanted if not all of them can.
    """
    if POOL.calls is None or not all(thread.is_alive() for thread in POOL.threads):  # after a fork, none is alive
        calls, threads = queue.SimpleQueue(), []
        try:
            for _ in range(max(THREADS, TEAM.threads) - 1):
                thread = threading.Thread(target=serve, args=(calls,), daemon=True)
                thread.start()
                threads.append(thread)
        except RuntimeError:  # threads cannot start here, or there are too many
            pass
        POOL.calls, POOL.threads = calls, threads  # if two threads race, the last pool wins
    return POOL.calls, len(POOL.threads)


def serve(calls):
    """Run calls from the queue, forever."""
    while True:
        calls.get()()


def acquire(locks):
    """Acquire all locks, waiting for the threads that hold them. Ctrl-C meanwhile is raised afterwards."""
    try:
        for lock in locks:
            lock.acquire()
    except BaseException:
        acquire(locks)
        raise


def sparse_categorical_crossentropy_loss(y, targets, *, from_logits=False):
    """`categorical_crossentropy_loss` for targets that are the numbers of the classes."""
    classes = np.asarray(targets).reshape(y.shape[:-1])
    t = (classes[..., np.newaxis] == np.arange(y.shape[-1])).astype(y.dtype)
    return categorical_crossentropy_loss(y, t, from_logits=from_logits)


def categorical_crossentropy_loss(y, targets, *, from_logits=False):
    """The mean of -Σ t log(p) over the last axis, and -t / p / n; p Σ t - t where y are logits."""
    t, n = np.asarray(targets, y.dtype), y.size // y.shape[-1]
    if from_logits:
        log_p = log_softmax(y)
        return float(-np.sum(t * log_p) / n), (np.exp(log_p) * t.sum(axis=-1, keepdims=True) - t) * (1 / n)
    p = np.maximum(y, np.finfo(y.dtype).tiny)
    return float(-np.sum(t * np.log(p)) / n), t / p * (-1 / n)


def log_softmax(x, *, axis=-1):
    """log(softmax(x)) along `axis`. Error up to 8 eps (1 + |result|)."""
    y = x - np.max(x, axis=axis, keepdims=True)
    y -= np.log(np.sum(np.exp(y), axis=axis, keepdims=True))
    return y


class Adam:
    """m and v are moving means of g and g²; w -= rate * √(1 - β₂ᵗ) / (1 - β₁ᵗ) * m / (√v + ε) (Kingma and Ba 2015)."""

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        self.learning_rate, self.beta_1, self.beta_2, self.epsilon = learning_rate, beta_1, beta_2, epsilon
        self.iterations, self.m, self.v = 0, {}, {}

    def update(self, weights, gradients):
        """One step."""
        self.iterations += 1
        t = self.iterations
        rate = self.learning_rate * (1 - self.beta_2**t) ** 0.5 / (1 - self.beta_1**t)
        for name, g in gradients.items():
            m = self.m.setdefault(name, np.zeros_like(g))
            v = self.v.setdefault(name, np.zeros_like(g))
            m += (g - m) * (1 - self.beta_1)
            v += (np.square(g) - v) * (1 - self.beta_2)
            weights[name] -= m * rate / (np.sqrt(v) + self.epsilon)


# Weights and command line


def read_embedded(lines):
    """The arrays of the .npz file that these lines of base64 stand for."""
    try:
        with np.load(Base64File(lines), allow_pickle=False) as npz:
            return {name: npz[name] for name in npz.files}
    except Exception as error:  # of many kinds, where the lines were cut or edited
        raise OSError(f"the weights in the module cannot be read; were its lines edited? {error}") from error


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


def main(predict, inputs, outputs, recorded=None, reset=None, preprocess=None, classify=None, arguments=None):
    """Run `predict` on files and save or print what it returns: `python model.py in.npy -o out.npy`.

    Source that `exec` runs in a program or a notebook is no program itself: the arguments are not for it.
    """
    import signal

    if arguments is None and main.__code__.co_filename in ("<string>", "<exec>"):  # the latter is Pyodide's
        return
    if hasattr(signal, "SIGPIPE"):  # end as other programs do where nobody reads on, as in `| head`
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    parser = parser_of(inputs, outputs)
    options = parser.parse_args(arguments)
    if options.selftest:
        if recorded is None:
            parser.exit(77, f"{parser.prog}: no answers were recorded when the module was written\n")
        parser.exit(0 if selftest(predict, inputs, outputs, recorded, reset) else 1)
    usage = f"takes {len(inputs)} files, one for each input, not {len(options.files)}"
    if not options.files or (len(inputs) > 1 and len(options.files) not in (1, len(inputs))):
        parser.error(usage)
    try:
        kind = format_of(options.output or "", outputs)
    except ValueError as error:
        parser.error(str(error))
    try:
        arrays = read_inputs(options.files, inputs, preprocess)
        if len(arrays) < len(inputs):
            parser.error(usage)
        if classify is not None and options.output is None:
            print_classes(options.files if len(inputs) == 1 else [], classify(*arrays))
            return
        result = predict(*arrays)
        if not isinstance(result, dict):
            results = [result] if len(outputs) == 1 else result
            result = dict(zip([name for name, _, _ in outputs], results))
        if options.output is None:
            print_arrays(result)
        else:
            write_arrays(options.output, result, kind)
    except (OSError, TypeError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def parser_of(inputs, outputs):
    """The parser of the command line."""
    import argparse

    takes, gives = (", ".join(f"{name!a} {shape} {dtype}" for name, shape, dtype in side) for side in (inputs, outputs))
    parser = argparse.ArgumentParser(
        description=f"Takes {takes}; gives {gives}. None is any size.",
        epilog="Exit codes: 0 ok, 1 an error or a wrong answer, 2 usage, 77 nothing was recorded that --selftest could "
        "compare, 141 stdout is a pipe that was closed.",
    )
    parser.add_argument(
        "files",
        nargs="*",
        metavar="in.npy",
        help="one file for each input, in this order, or an .npz or JSON file with all; several files of a single "
        "input are one batch; .npy, .npz, .csv, .json, or images where Pillow is installed; - is stdin",
    )
    parser.add_argument(
        "-o", "--output", metavar="out.npy", help="where to save, as .npy, .npz, .csv or .json; - is stdout"
    )
    parser.add_argument(
        "--selftest", action="store_true", help="compare the answer to generated inputs with a recorded one"
    )
    return parser


def selftest(predict, inputs, outputs, recorded, reset=None):
    """Whether `predict` still gives the recorded answers to generated inputs; prints what it finds."""
    import platform

    arrays = [
        make_input(shape, dtype, low, high, whole, number)
        for number, ((shape, low, high, whole), (_, _, dtype)) in enumerate(zip(recorded["inputs"], inputs))
    ]
    if reset is not None:
        reset()
    with np.errstate(all="ignore"):  # the inputs are random
        result, calls = watch(predict, arrays, {name for name, _, _ in recorded["calls"]})
    if reset is not None:
        reset()
    results = list(result.values()) if isinstance(result, dict) else [result] if len(outputs) == 1 else result
    wrong = 0
    for got, (name, _, _), (shape, allowed, expected) in zip(results, outputs, recorded["outputs"]):
        error = difference(numbers(got), expected) if got.shape == shape else float("inf")
        wrong += not error <= allowed
        print(f"{'ok' if error <= allowed else 'WRONG'} {name!a}: off by {error:.2g}, {allowed:.2g} allowed")
    wrong += not same_calls(calls, recorded["calls"])
    print(f"compared with answers recorded when the module was written, {recorded['by']}")
    print("Python", platform.python_version(), "NumPy", np.__version__, "BLAS", blas(), platform.machine())
    return not wrong


def watch(predict, arrays, names):
    """What `predict` returns; and for each call inside it to one of the functions `names`, its name, sum and cells.

    Python's profiling hook sees what they return, even if a module has no source. If `predict` runs a few samples at a
    time, their sums are added up.
    """
    import sys

    code, calls, batch = predict.__code__, [], []

    def look(frame, event, result):
        name = frame.f_code.co_name
        if event == "call" and frame.f_code is code:
            batch.clear()
        elif event == "return" and name in names and frame.f_back.f_code is code:
            if frame.f_code.co_filename != code.co_filename:
                return  # a NumPy function
            results = result if isinstance(result, (list, tuple)) else [result]
            place = len(batch)
            before = calls[place] if place < len(calls) else (name, 0.0, 0)
            batch.append((name, before[1] + sum(map(weighted_sum, results)), before[2] + sum(map(np.size, results))))
            calls[place : place + 1] = batch[place:]

    profiler = sys.getprofile()
    sys.setprofile(look)
    try:
        return predict(*arrays), calls
    finally:
        sys.setprofile(profiler)


def weighted_sum(y):
    """The sum over all samples of an array, each cell times a factor of its row and a factor of its column."""
    y = np.asarray(y)
    if not y.size:
        return 0.0
    y = y.reshape(len(y) if y.ndim > 1 else y.size, -1, y.shape[-1] if y.ndim > 1 else 1)
    y = y.sum(axis=0, dtype=np.result_type(y, np.float64))
    total = factors(y.shape[0], 1) @ y @ factors(y.shape[1], 2)
    return float(total.real + total.imag)


def factors(count, seed):
    """Numbers that look random, from 0.5 to 1.5 or from -1.5 to -0.5, so that every term of a sum counts."""
    n = hashed(0, count, seed)
    return (0.5 + n / 2.0**32) * np.where(n & 1, 1.0, -1.0)


def hashed(start, stop, seed=0):
    """A whole number of 32 bits for each position from `start` on that looks random: MurmurHash3's last steps."""
    n = np.arange(start, stop).astype(np.uint32) + np.uint32(seed * 0x9E3779B9 % 2**32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        n ^= n >> np.uint32(shift)
        n *= np.uint32(factor)
    return n


def difference(got, expected):
    """The largest difference between two lists of numbers; in the second, numbers that are not finite are strings."""
    largest = 0.0
    for a, b in zip(got, map(float, expected)):
        if a != b and (a == a or b == b):  # NaN alone is not itself
            largest = max(largest, abs(a - b)) if abs(a - b) < float("inf") else float("inf")
    return largest


def numbers(y):
    """The record of an output: the sum of all cells by the root of their number, and six evenly spaced cells."""
    if not y.size:
        return []
    cells = y.ravel()[[i * (y.size - 1) // 5 for i in range(6)]]
    return [weighted_sum(y) / y.size**0.5] + [float(cell.real + cell.imag) for cell in cells]


def same_calls(calls, recorded):
    """Whether the calls inside `predict` gave the recorded results; prints the first that did not."""
    if recorded and not calls:
        print("nothing is known of what is inside of predict: no profiler can look into it")
        return True
    for number, ((name, total, cells), (expected, allowed, right)) in enumerate(zip(calls, recorded), 1):
        error = difference([total / max(cells, 1) ** 0.5], [right]) if name == expected else float("inf")
        if not error <= allowed:
            print(f"WRONG inside, call {number}, {name}: off by {error:.2g}, {allowed:.2g} allowed")
            return False
    if recorded:
        print(f"{'ok' if len(calls) == len(recorded) else 'WRONG'} inside: {len(calls)} calls of {len(recorded)}")
    return len(calls) == len(recorded)


def blas():
    """The BLAS that NumPy was built with, as far as NumPy says."""
    try:
        built = np.__config__.CONFIG["Build Dependencies"]["blas"]
        return "{name} {version}".format(**built)
    except (AttributeError, KeyError):  # before NumPy 1.26
        pass
    try:
        return " ".join(np.__config__.blas_opt_info["libraries"])
    except (AttributeError, KeyError):
        return "unknown"


def make_input(shape, dtype, low, high, whole=False, seed=0):
    """An array that looks like data and is the same on every machine: no library decides how it is rounded.

    The samples take turns: even noise from `low` to `high`; waves between them, smooth along every axis as images and
    signals are; normal noise of mean 0 and deviation 1; one cell in eight `high`, all others `low`; and even noise upon
    waves that are eight times as high. Both limits are numbers, or one for each cell of the last axis. Where numbers
    are whole, what would be normal noise is even, and from the fifth sample on they count from `low` to `high`, over
    and over.
    """
    y = np.empty(shape, dtype)
    if not y.size:
        return y
    whole = whole or y.dtype.kind in "biu"
    width = shape[-1] if len(shape) > 1 else 1
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    for sample, cells in enumerate(y.reshape(len(y), -1, width)):
        step = max(1, 2**15 // width)
        for row in range(0, len(cells), step):
            block = cells[row : row + step]
            start, stop = row * width, row * width + block.size
            if whole and sample > 3:
                count = np.arange(start, stop).reshape(block.shape) + (sample - 4) * cells.size
                block[...] = low + count % (high - low + 1)
                continue
            part = input_noise(shape[1:], whole, seed, sample, start, stop).reshape(block.shape)
            if whole:
                block[...] = np.minimum(np.floor(low + part * (high - low + 1)), high)
            else:
                block[...] = part if sample % 5 == 2 else low + part * (high - low)
    return y


def input_noise(sizes, whole, seed, sample, start, stop):
    """The cells of a sample of `make_input`, most from 0 to 1; the third of five is normal unless `whole`."""
    n = hashed(start + sample * int(np.prod(sizes)), stop + sample * int(np.prod(sizes)), seed)
    if sample % 5 in (1, 4):
        waves = input_waves(sizes, seed + sample, np.arange(start, stop))
        return waves if sample % 5 == 1 else 8 * (waves - 0.5) + n / 2.0**32
    if sample % 5 == 2 and not whole:  # the sum of the four bytes, which has a deviation of 148
        return (np.sum(n.view(np.uint8).reshape(-1, 4), axis=1) - 510.0) / 148
    return n % 8 == 0 if sample % 5 == 3 else n / 2.0**32


def input_waves(sizes, seed, cells):
    """Three waves through an array of these sizes, 0 to 3 of them along each axis, at these cells: from 0 to 1."""
    y = np.full(len(cells), 0.5)
    for wave, height in enumerate((0.25, 0.15, 0.1)):
        phase, *counts = hashed(wave << 8, (wave << 8) + len(sizes) + 1, seed).tolist()
        t, stride = np.full(len(cells), phase / 2.0**32), 1
        for size, count in zip(reversed(sizes), counts):
            t += cells // stride % size * (count % 4 / size)
            stride *= size
        t -= np.floor(t) + 0.5
        y += height * 8 * t * (1 - 2 * np.abs(t))  # a parabola for each half, close to a sine
    return y


def format_of(path, outputs):
    """How to write these outputs to a file of this name: npy, npz, csv or json. ValueError if it can hold but one."""
    kind = path.rpartition(".")[2].lower()
    if len(outputs) > 1 and kind in ("npy", "csv"):
        raise ValueError(f"{path}: a .{kind} file holds one array, not {len(outputs)}; .npz and .json hold several")
    return kind if kind in ("npz", "csv", "json") else "npy" if len(outputs) == 1 else "npz"


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


def print_classes(paths, classes):
    """Print a line for each sample: its file if it has one, else its number, and the most probable classes."""
    for number, best in enumerate(classes):
        sample = paths[number] if len(paths) == len(classes) else number
        print(f"{sample}: " + ", ".join(f"{label} {probability:.3g}" for label, probability in best))


def print_arrays(arrays):
    """Print arrays by name, long ones shortened."""
    for name, array in arrays.items():
        print(f"{name!a} {array.shape} {array.dtype}")
        print(np.array2string(array, threshold=1000, max_line_width=120))


def write_arrays(path, arrays, kind):
    """Write arrays to a file of this kind; - is stdout."""
    if path != "-":
        with open(path, "wb") as file:
            save_arrays(file, arrays, kind)
        return
    packed = io.BytesIO()  # np.save wants a file that it can seek in
    save_arrays(packed, arrays, kind)
    with open(1, "wb", closefd=False) as stdout:
        stdout.write(packed.getbuffer())


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


# For `python this_file.py --selftest`: how to make the inputs; for each call in `predict` a weighted sum of its result,
# and for each output its shape and a few numbers, each with the error allowed
SELFTEST = {
    "by": "self-made",
    "inputs": (((4, 8, 8, 1), 0.0, 16.0, False),),
    "calls": (
        ("conv2d", 4e-05, 0.406225),
        ("conv2d", 4e-05, 1.184284),
        ("max_pool", 5e-05, 1.253599),
        ("conv2d", 5e-05, 0.256453),
        ("batch_norm", 7e-05, 0.06511),
        ("relu", 5e-05, 0.341263),
        ("flatten", 5e-05, -0.10269),
        ("dense", 2e-05, 0.152013),
    ),
    "outputs": (((4, 10), 3e-05, (0.152013, 0.018136, 0.032324, 0.221501, 0.172789, 0.132899, 0.167276)),),
}

# The bytes of an .npz file in base64
NPZ = b"""\
"""

W = read_embedded(NPZ)
del NPZ  # the arrays are all that is needed

OPTIMIZER = Adam()

if __name__ == "__main__":
    main(predict, INPUTS, OUTPUTS, SELFTEST)
