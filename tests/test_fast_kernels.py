"""The fast kernels against Keras: every setting, by blocks, with threads, into memory of their own."""

import itertools
import os
import signal
import sys
import threading
import time
import types

import numpy as np
import pytest
from keras import ops
from support import pretend_blas
from test_kernels import check, close, random

from kerasgen import kernels
from kerasgen.kernels import threads
from kerasgen.passes.plan.choose_kernels import OTHER_DEPTHWISE, WINOGRAD

ROUNDING = {4: 1e-5, 6: 1e-4, 8: 2e-5, 10: 1e-4}  # of Winograd by the cells of a tile: a part of the largest result
TILES = [(window, m) for window, tiles in WINOGRAD.items() for m, _, _ in tiles]
ROWS = [(window, m) for window, tiles in OTHER_DEPTHWISE.items() for m, _ in tiles]
FRAME = ((1, 2), (0, 3), (2, 1))


def check_all(want, kernel, *arrays, residual, tolerance=1e-5, **settings):
    """Plain, with a residual and an activation, inside zeros, and in memory that held something else."""
    x, w, bias = arrays
    want = ops.convert_to_numpy(want)
    more = np.maximum(want + bias + (0 if residual is None else residual), 0)
    others = () if residual is None else (residual,)
    check(want, kernel, x, w, tolerance=tolerance, **settings)
    check(want + bias, kernel, x, w, bias, tolerance=tolerance, **settings)
    for activation in (kernels.relu, lambda y: np.maximum(y, 0)):
        got = kernel(x, w, bias, *others, activation=activation, **settings)
        close(got, more, tolerance)
    border = FRAME[: x.ndim - 2]
    buffer = threads.Buffer()
    buffer.empty((2 * more.size + 10_000,), more.dtype).fill(np.nan)
    bordered = np.pad(more, [(0, 0), *border, (0, 0)])
    for frame, wanted in ((None, more), (border, bordered)):
        got = kernel(x, w, bias, *others, activation=kernels.relu, border=frame, out=buffer, **settings)
        close(got, wanted, tolerance)
        assert np.shares_memory(got, buffer.memory)
    spread = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    spread[..., ::2] = x
    close(kernel(spread[..., ::2], w, bias, *others, activation=kernels.relu, **settings), more, tolerance)


@pytest.fixture(
    params=["whole", "without a BLAS", "blocks of a row", "two threads", "two threads beside those of the BLAS"]
)
def how(request, monkeypatch):
    """How the work is divided."""
    pretend_blas(monkeypatch, request.param != "without a BLAS")
    if request.param not in ("whole", "without a BLAS"):
        for module in ("attention", "blocks", "depthwise", "resize", "winograd"):
            monkeypatch.setattr(sys.modules[f"kerasgen.kernels.{module}"], "block_rows", lambda row, width=256: 1)
    if request.param.startswith("two threads"):
        monkeypatch.setattr(threads, "THREADS", 2)
        monkeypatch.setattr(threads, "PRODUCTS", request.param == "two threads")
        monkeypatch.setattr(threads, "PAYS", 0)


WINDOWS = [  # sizes, window, strides, dilation
    ((9,), (3,), (2,), (1,)),
    ((11,), (3,), (1,), (2,)),
    ((7, 8), (3, 3), (1, 1), (1, 1)),
    ((9, 6), (5, 2), (2, 3), (1, 1)),
    ((9, 10), (2, 3), (1, 1), (3, 1)),
    ((6, 5), (1, 1), (2, 2), (1, 1)),
    ((5, 6, 7), (3, 2, 3), (1, 2, 1), (1, 1, 1)),
]


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("sizes", "window", "strides", "dilation"), WINDOWS, ids=str)
def test_blocked_conv(sizes, window, strides, dilation, padding):
    x, w, b = random(3, *sizes, 4), random(*window, 4, 6, seed=1), random(6, seed=2)
    want = ops.conv(x, w, strides, padding, dilation_rate=dilation)
    residual = random(*want.shape, seed=3)
    for pad in [None] if padding == "valid" else ["same", kernels.same_pads(sizes, window, strides, dilation)]:
        settings = {"strides": strides, "dilation": dilation, "pad": pad}
        check_all(want, kernels.blocked_conv, x, w, b, residual=residual, **settings)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("sizes", "window", "dilation"), [(a, k, d) for a, k, s, d in WINDOWS if {*s} == {1}], ids=str)
def test_unfolded_less(sizes, window, dilation, padding):
    x, w, b = random(3, *sizes, 4), random(*window, 4, 2, seed=1), random(2, seed=2)
    ones = (1,) * len(sizes)
    want = ops.conv(x, w, 1, padding, dilation_rate=dilation)
    residual = random(*want.shape, seed=3)
    for pad in [None] if padding == "valid" else ["same", kernels.same_pads(sizes, window, ones, dilation)]:
        for kernel in (kernels.half_unfolded_conv,) * (len(sizes) > 1) + (kernels.kn2row_conv,):
            check_all(want, kernel, x, w, b, residual=residual, dilation=dilation, pad=pad)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("sizes", "window", "strides", "dilation"), WINDOWS, ids=str)
def test_conv_by_taps(sizes, window, strides, dilation, padding):
    x, w, b = random(3, *sizes, 1), random(*window, 1, 6, seed=1), random(6, seed=2)
    want = ops.conv(x, w, strides, padding, dilation_rate=dilation)
    for pad in [None] if padding == "valid" else ["same", kernels.same_pads(sizes, window, strides, dilation)]:
        settings = {"strides": strides, "dilation": dilation, "pad": pad}
        check(want, kernels.conv_by_taps, x, w, **settings)
        check(np.maximum(want + b, 0), kernels.conv_by_taps, x, w, b, activation=kernels.relu, **settings)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("sizes", [(7,), (5, 6), (3, 4, 5)], ids=str)
def test_pointwise(sizes):
    x, w, b = random(3, *sizes, 4), random(*[1] * len(sizes), 4, 6, seed=1), random(6, seed=2)
    residual = random(3, *sizes, 6, seed=3)
    for kernel in (w, w.reshape(4, 6)):
        check_all(ops.conv(x, w), kernels.pointwise, x, kernel, b, residual=residual)
    gate = random(3, *[1] * len(sizes), 4, seed=4)
    close(kernels.pointwise(x, w, b, residual, gate), ops.conv(x * gate, w) + b + residual)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("sizes", [(7,), (5, 6), (3, 4, 5)], ids=str)
def test_layer_norm_by_rows(sizes):
    x, gamma, beta = random(3, *sizes, 4), random(4, seed=1), random(4, seed=2)
    want = kernels.layer_norm(x, gamma, beta, epsilon=0.1)
    border = FRAME[: len(sizes)]
    for frame, wanted in ((None, want), (border, np.pad(want, [(0, 0), *border, (0, 0)]))):
        buffer = threads.Buffer()
        got = kernels.layer_norm_by_rows(x, gamma, beta, epsilon=0.1, border=frame, out=buffer)
        close(got, wanted)
        assert np.shares_memory(got, buffer.memory)
    close(kernels.layer_norm_by_rows(x), kernels.layer_norm(x))


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("size", [(10, 12), (15, 18), (7, 9), (3, 20), (1, 1), (5, 6)], ids=str)
def test_bilinear_by_rows(size):
    x = random(2, 5, 6, 3)
    want = ops.convert_to_numpy(ops.image.resize(x, size))
    for frame, wanted in ((None, want), (FRAME[:2], np.pad(want, [(0, 0), *FRAME[:2], (0, 0)]))):
        buffer = threads.Buffer()
        got = kernels.bilinear_by_rows(x, size=size, border=frame, out=buffer)
        close(got, wanted)
        assert np.shares_memory(got, buffer.memory)
        factors = size[0] // 5, size[1] // 6
        if size == (5 * factors[0], 6 * factors[1]):
            close(kernels.upsample_by_rows(x, size=factors, border=frame, out=buffer), wanted)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize(("sizes", "size"), [((7,), (3,)), ((5, 6), (2, 3)), ((5, 6), (1, 2)), ((3, 4, 2), (2, 1, 3))])
def test_upsample_nearest_by_rows(sizes, size):
    x = random(2, *sizes, 3)
    want = kernels.upsample_nearest(x, size=size)
    border = FRAME[: len(sizes)]
    for frame, wanted in ((None, want), (border, np.pad(want, [(0, 0), *border, (0, 0)]))):
        buffer = threads.Buffer()
        got = kernels.upsample_nearest_by_rows(x, size=size, border=frame, out=buffer)
        np.testing.assert_array_equal(got, wanted)
        assert np.shares_memory(got, buffer.memory)


@pytest.mark.parametrize("columns", [1, 2, 3, 21])
def test_softmax_by_columns(columns):
    x = random(2, 5, 7, columns)
    x[0, 0] = 1000
    x[1, 0, 0] = np.nan
    x[1, 1, 0, 0] = -np.inf
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(kernels.softmax_by_columns(x), kernels.softmax(x), rtol=1e-5)


PAINTED = [  # sizes, window, strides, dilation
    ((9,), (3,), (2,), (1,)),
    ((2,), (2,), (3,), (1,)),
    ((5, 4), (3, 3), (2, 2), (1, 1)),
    ((5, 4), (4, 2), (2, 1), (1, 1)),
    ((6, 5), (3, 2), (1, 1), (2, 3)),
    ((4, 3), (1, 1), (3, 2), (1, 1)),
    ((3, 4, 2), (3, 2, 3), (2, 3, 1), (1, 1, 1)),
]


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("extra", [None, 0])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("sizes", "window", "strides", "dilation"), PAINTED, ids=str)
def test_conv_transpose_by_rows(sizes, window, strides, dilation, padding, extra):
    """The same as in one piece."""
    x, w, b = random(2, *sizes, 3), random(*window, 4, 3, seed=1), random(4, seed=2)
    plain = (kernels.conv1d_transpose, kernels.conv2d_transpose, kernels.conv3d_transpose)[len(sizes) - 1]
    more = None if extra is None else (extra,) * len(sizes)
    for crop in (None, kernels.transpose_crop(window, strides, dilation, padding, more)):
        settings = {"strides": strides, "dilation": dilation, "crop": crop}
        want = plain(x, w, **settings)
        residual = random(*want.shape, seed=3)
        check_all(want, kernels.conv_transpose_by_rows, x, w, b, residual=residual, **settings)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("axes", [1, 2])
def test_project_by_rows(axes):
    shape, kernel = ((2, 5, 6), (6, 3, 4)) if axes == 1 else ((2, 5, 3, 4), (3, 4, 6))
    x, w, b = random(*shape), random(*kernel, seed=1), random(*kernel[axes:], seed=2)
    want = np.tensordot(x, w, axes)
    residual, buffer = random(*want.shape, seed=3), threads.Buffer()
    close(kernels.project_by_rows(x, w, axes=axes), want)
    got = kernels.project_by_rows(x, w, b, residual, axes=axes, activation=kernels.relu, out=buffer)
    close(got, np.maximum(want + b + residual, 0))
    assert np.shares_memory(got, buffer.memory)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("mask", [None, (2, 1, 5, 7), (1, 1, 5, 7), (2, 1, 1, 7), (5, 1)], ids=str)
def test_attention_by_rows(mask):
    query, key, value = random(2, 5, 3, 4), random(2, 7, 3, 4, seed=1), random(2, 7, 3, 6, seed=2)
    scores = np.einsum("nthd,nshd->nhts", query, key) / 2
    buffer = threads.Buffer()
    for zeroed in (False, True):
        settings, masks = {"scale": 0.5}, ()
        if mask is not None:
            masks = (random(*mask, seed=3) > 0,)
            settings.update(lowest=-1e9, zeroed=zeroed)
            scores = np.where(*masks, scores, -1e9)
        weights = ops.convert_to_numpy(ops.softmax(scores))
        weights = np.where(*masks, weights, 0) if zeroed and masks else weights
        want = np.einsum("nhts,nshe->nthe", weights, value)
        got = kernels.attention_by_rows(query, key, value, *masks, out=buffer, **settings)
        close(got, want)
        assert np.shares_memory(got, buffer.memory)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("settings", [{"causal": True}, {"window": 1}, {"window": 3}, {"causal": True, "window": 2}])
@pytest.mark.parametrize("steps", [(5, 7), (6, 6), (7, 5), (1, 1)], ids=str)
def test_band_attention_by_rows(settings, steps, monkeypatch):
    """The same as with all scores, in blocks of two queries."""
    monkeypatch.setattr(kernels.attention, "BAND", 2)
    if "window" in settings and steps[0] > steps[1]:
        steps = steps[::-1]  # each query sees a key
    query, key, value = random(2, steps[0], 3, 4), random(2, steps[1], 3, 4, seed=1), random(2, steps[1], 3, 6, seed=2)
    scores = kernels.head_scores(query, key, scale=0.5)
    want = kernels.attend(kernels.masked_softmax(scores, kernels.band_mask(scores, **settings)), value)
    buffer = threads.Buffer()
    got = kernels.band_attention_by_rows(query, key, value, scale=0.5, out=buffer, **settings)
    close(got, want)
    assert np.shares_memory(got, buffer.memory)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize(("window", "m"), TILES, ids=str)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("sizes", [(8, 8), (7, 9), (13, 7), "as the window"], ids=str)
def test_winograd(sizes, padding, window, m):
    """Including sizes that the tiles do not divide."""
    depths = (4,) if len(window) == 3 else ()
    sizes = window if sizes == "as the window" else (*depths, *sizes)
    x, w, b = random(3, *sizes, 5), random(*window, 5, 6, seed=1), random(6, seed=2)
    want = ops.conv(x, w, 1, padding)
    edges = [k // 2 if padding == "same" else 0 for k in window]
    more = (*(0 for _ in depths), *(k - 1 for k in m))
    pads = tuple((edge, edge + k) for edge, k in zip(edges, more, strict=True))
    residual = random(*want.shape, seed=3)
    filters = kernels.winograd_filters(w, m=m)
    settings = {"window": window, "pad": pads, "tolerance": ROUNDING[max(m) + max(window) - 1]}
    kernel = kernels.winograd_conv3d if depths else kernels.winograd_conv2d
    check_all(want, kernel, x, filters, b, residual=residual, **settings)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("sizes", "window", "strides", "dilation"), [row for row in WINDOWS if len(row[0]) == 2])
def test_tiled_depthwise_conv(sizes, window, strides, dilation, padding):
    x, w, b = random(3, *sizes, 4), random(*window, 4, 1, seed=1), random(4, seed=2)
    parts = zip(np.split(x, 4, axis=-1), np.split(w, 4, axis=-2), strict=True)
    want = np.concatenate([ops.conv(x, w, strides, padding, dilation_rate=dilation) for x, w in parts], axis=-1)
    pad = None if padding == "valid" else kernels.same_pads(sizes, window, strides, dilation)
    width = want.shape[2]
    for count in range(1, width + 3):
        tiled = kernels.tile(w, count=count)
        settings = {"strides": strides, "dilation": dilation, "pad": pad}
        check_all(want, kernels.tiled_depthwise_conv2d, x, tiled, b, residual=None, **settings)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize(("window", "m"), [*ROWS, ((3, 2), 2)], ids=str)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("sizes", [(8, 8), (13, 7), "as the window"], ids=str)
def test_winograd_depthwise_conv(sizes, padding, window, m):
    """Including numbers of rows that the tiles do not divide."""
    sizes = window if sizes == "as the window" else sizes
    x, w, b = random(3, *sizes, 4), random(*window, 4, 1, seed=1), random(4, seed=2)
    parts = zip(np.split(x, 4, axis=-1), np.split(w, 4, axis=-2), strict=True)
    want = np.concatenate([ops.conv(x, w, 1, padding) for x, w in parts], axis=-1)
    (top, bottom), columns = (
        ((0, 0), (0, 0)) if padding == "valid" else kernels.same_pads(sizes, window, (1, 1), (1, 1))
    )
    pad = ((top, bottom + m - 1), columns)
    for count in range(1, want.shape[2] + 3):
        filters = kernels.winograd_tile(w, m=m, count=count)
        settings = {"window": window, "pad": pad, "tolerance": ROUNDING[m + window[0] - 1]}
        check_all(want, kernels.winograd_depthwise_conv2d, x, filters, b, residual=None, **settings)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("sizes", [(9,), (7, 8), (4, 5, 6)], ids=str)
def test_activation_by_rows(sizes):
    x, border = random(2, *sizes, 3), FRAME[: len(sizes)]
    want = np.where(x > 0, x, 0.1 * x)
    for frame, wanted in ((None, want), (border, np.pad(want, [(0, 0), *border, (0, 0)]))):
        buffer = threads.Buffer()
        settings = {"activation": kernels.leaky_relu, "negative_slope": 0.1}
        got = kernels.activation_by_rows(x, border=frame, out=buffer, **settings)
        close(got, wanted)
        assert np.shares_memory(got, buffer.memory)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("limits", [("low", None), (None, "high"), ("low", "high"), ("zero", "one")])
@pytest.mark.parametrize("sizes", [(9,), (7, 8), (4, 5, 6)])
def test_clamp(sizes, limits):
    x = random(2, *sizes, 3)
    known = {"low": np.float32([-0.5, -np.inf, 0.1]), "high": np.float32([np.inf, 0.5, 0.2]), "zero": 0.0, "one": 1}
    low, high = (known.get(name) for name in limits)
    want = np.clip(x, -np.inf if low is None else low, np.inf if high is None else high)
    border = FRAME[: len(sizes)]
    bordered = np.pad(want, [(0, 0), *border, (0, 0)])
    for frame, wanted in ((None, want), (border, bordered)):
        for buffer in (None, threads.Buffer()):
            np.testing.assert_array_equal(kernels.clamp(x, low, high, border=frame, out=buffer), wanted)


# --- Threads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "step", "heights"), [(19, 18, [19]), (28, 18, [14, 14]), (3, 9, [3]), (7, 2, [2, 2, 2, 1]), (0, 3, [])]
)
def test_blocks_are_about_equal(rows, step, heights):
    done = []
    threads.over_blocks(done.append, 1, rows, step, 1)
    assert [at[1].stop - at[1].start for at in done] == heights
    assert [at[1].start for at in done] == list(np.cumsum([0, *heights]))[: len(heights)]


@pytest.fixture
def pool_of_two(monkeypatch):
    monkeypatch.setattr(threads, "THREADS", 2)
    monkeypatch.setattr(threads, "PAYS", 0)
    monkeypatch.setattr(threads, "POOL", types.SimpleNamespace(threads=(), calls=None))


@pytest.mark.usefixtures("pool_of_two")
def test_every_block_is_done_once():
    done = []
    threads.over_blocks(done.append, 3, 7, 2, 1)
    assert sorted((i, j) for i, rows in done for j in range(rows.start, rows.stop)) == list(np.ndindex(3, 7))


@pytest.mark.usefixtures("pool_of_two")
@pytest.mark.parametrize(
    ("alone", "inside", "product", "other"), [(True, 1, 2, 2), (False, 1, 0, 0), (False, 2, 0, 2), (True, 3, 3, 3)]
)
def test_products_are_for_the_threads_of_the_blas(monkeypatch, alone, inside, product, other):
    """Unless it has only one. The rest is theirs, too, except inside a call that has threads of its own."""
    monkeypatch.setattr(threads, "PRODUCTS", alone)
    monkeypatch.setattr(threads.TEAM, "threads", inside)
    shares = [0]
    monkeypatch.setattr(threads, "share", lambda work, tasks: shares.append(len(tasks)))
    threads.over_blocks(lambda at: None, 1, 6, 6, 1, columns=5)
    assert shares[-1] == product
    threads.over_blocks(lambda at: None, 1, 6, 6, 1)
    assert shares[-1] == other


@pytest.mark.usefixtures("pool_of_two")
def test_an_exception_reaches_the_caller():
    def fail(task):
        if task == 2:
            raise ZeroDivisionError("two")

    for _ in range(20):
        with pytest.raises(ZeroDivisionError, match="two"):
            threads.share(fail, range(5))
    done = []
    threads.share(done.append, range(5))  # the pool goes on
    assert sorted(done) == list(range(5))


@pytest.mark.usefixtures("pool_of_two")
def test_eight_threads_at_once():
    """They come before there is a pool."""
    x, w = random(2, 9, 9, 4), random(3, 3, 4, 6, seed=1)
    want = kernels.conv2d(x, w)
    start, results = threading.Barrier(8), []

    def call(number):
        (buffer,) = kernels.buffers(1)
        start.wait()
        for _ in range(20):
            y = kernels.blocked_conv(x * number, w, strides=(1, 1), dilation=(1, 1), out=buffer)
            results.append(np.allclose(y, want * number, atol=1e-4))

    threads = [threading.Thread(target=call, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [True] * 160


@pytest.mark.usefixtures("pool_of_two")
def test_a_pool_that_two_threads_start(monkeypatch):
    """No thread is started twice, even if both callers find no pool, and set their own, before either continues."""
    meet = threading.Barrier(2)

    class Slow:
        queue, kept = None, ()

        @property
        def calls(self):
            found = self.queue
            if found is None:
                meet.wait(10)
            return found

        @calls.setter
        def calls(self, calls):
            self.queue = calls

        @property
        def threads(self):
            return self.kept

        @threads.setter
        def threads(self, threads):
            self.kept = threads
            meet.wait(10)

    monkeypatch.setattr(threads, "POOL", Slow())
    done, errors = [], []

    def call():
        try:
            done.append(threads.thread_pool())
        except RuntimeError as error:
            errors.append(error)

    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    assert (len(done), errors) == (2, [])


class Interrupt:
    """Ctrl-C at one line of the file, counted from the first line that this thread runs."""

    def __init__(self, line):
        self.left = line

    def __call__(self, frame, event, _):
        if frame.f_code.co_filename != threads.__file__:
            return None
        if event in ("call", "line"):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt  # Python then calls this no more
        return self


def interrupted(line, late):
    """Whether sharing reaches that line; tasks that still run after it has ended are added to `late`."""
    ended = []

    def work(task):
        time.sleep(0.002)
        if ended:
            late.append(task)

    tracing = sys.gettrace()
    sys.settrace(Interrupt(line))
    try:
        threads.share(work, range(5))
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(tracing)
        ended.append(True)
    return False


@pytest.mark.usefixtures("pool_of_two")
def test_ctrl_c_at_any_line_leaves_no_thread_at_work():
    late = []
    assert sum(itertools.takewhile(bool, (interrupted(line, late) for line in itertools.count()))) > 30
    time.sleep(0.1)
    assert late == []
    threads.share(late.append, range(5))  # the pool goes on
    assert sorted(late) == list(range(5))


@pytest.fixture
def ctrl_c(monkeypatch):
    """Send it to the main thread, which must not ignore it, as background processes of a shell do."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    signal.signal(signal.SIGINT, usual)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no thread can be sent a signal")
@pytest.mark.usefixtures("pool_of_two")
@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_while_others_work(ctrl_c, times):
    """It is raised after they have ended, however often it comes."""
    begun, finished = threading.Event(), []

    def work(task):
        if threading.current_thread() is threading.main_thread():
            begun.wait(60)
            return
        begun.set()
        for _ in range(times):
            time.sleep(0.05)
            ctrl_c()
        time.sleep(0.05)
        finished.append(task)

    with pytest.raises(KeyboardInterrupt):
        threads.share(work, range(2))
    assert len(finished) == 1


@pytest.mark.usefixtures("pool_of_two")
@pytest.mark.parametrize("possible", [0, 1])
def test_threads_that_cannot_start(monkeypatch, possible):
    """As in Pyodide and WASI, or if there are too many: those that started do everything, and no other is tried."""
    tried, start = [], threading.Thread.start

    def limited(thread):
        tried.append(thread)
        if len(tried) > possible:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threads, "THREADS", 4)
    monkeypatch.setattr(threads, "PRODUCTS", True)
    monkeypatch.setattr(threading.Thread, "start", limited)
    x, w = random(3, 9, 9, 4), random(3, 3, 4, 6, seed=1)
    for _ in range(3):
        close(kernels.blocked_conv(x, w, strides=(1, 1), dilation=(1, 1)), kernels.conv2d(x, w))
    assert len(tried) == possible + 1
    assert possible or threads.POOL.calls.empty()


@pytest.mark.parametrize(("text", "cores", "count"), [("1", 8, 1), ("12", 8, 12), ("auto", 8, 8), ("auto", None, 1)])
def test_thread_count(text, cores, count):
    assert threads.thread_count(text, cores) == count


@pytest.mark.parametrize("text", ["many", "0", "-1", "1.5", "AUTO", "²"])
def test_no_thread_count(text):
    with pytest.raises(
        ValueError, match=f"^KERASGEN_THREADS is '{text}', where a number of threads or auto is expected$"
    ):
        threads.thread_count(text, 8)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.usefixtures("pool_of_two")
def test_after_a_fork():
    threads.share(lambda task: None, range(4))
    alive = False
    child = os.fork()
    if child == 0:
        try:
            threads.share(lambda task: None, range(4))
            alive = all(thread.is_alive() for thread in threads.POOL.threads)
        finally:
            os._exit(7 if alive else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
