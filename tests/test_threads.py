"""Calls from several threads at once: `predict` of any kind of model, and verification."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import CASES
from support import randomize, relative_error

from kerasgen.api import generate
from kerasgen.emit.load import load_module
from kerasgen.readers import read
from kerasgen.verification import oracle
from kerasgen.verification.compare import flat

NAMES = """
residual; squeeze and excite; first conv chain; dict inputs and outputs; transformer; multi_head_attention value_dim;
lstm; bidirectional gru concat; conv_lstm2d; conv2d groups; depthwise_conv2d; separable_conv1d; conv2d_transpose;
conv3d; upsampling2d bilinear; average_pool2d; batch_norm any size; embedding; int8 dense; ops.fft; ops.scatter;
mel_spectrogram
"""
THREADS = 8


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns after microseconds instead of milliseconds."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("switching")
@pytest.mark.parametrize("name", [name.strip() for name in NAMES.split(";")])
def test_threads(name: str, tmp_path: Path) -> None:
    """Arrays of several sizes, each answered as it is when it is alone."""
    case = CASES[name]
    model = randomize(case.model())
    if case.finish is not None:
        case.finish(model)
    with open(tmp_path / "module.py", "wb") as file:
        generate(read(model)).write(file)
    module = load_module(tmp_path / "module.py")
    random = np.random.RandomState(1)
    batches = []
    for number in range(4 * THREADS):
        unknown = iter(case.sizes * 2)
        sizes = [
            [1 + number % 3, *(next(unknown) if n is None else n for n in shape[1:])] for _, shape, _ in module.INPUTS
        ]
        values = [random.uniform(0, 3, size) for size in sizes]
        batches.append([array.astype(dtype) for array, (_, _, dtype) in zip(values, module.INPUTS, strict=True)])
    alone = [flat(module.predict(*batch)) for batch in batches]
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(5):
            for got, expected in zip(pool.map(lambda b: flat(module.predict(*b)), batches), alone, strict=True):
                assert all(relative_error(y, wanted) < 1e-5 for y, wanted in zip(got, expected, strict=True))


# --- verification ----------------------------------------------------------------------------------------------------


@contextmanager
def inside(context: AbstractContextManager[Any]) -> Iterator[Callable[[], None]]:
    """Another thread in a context, and what makes it leave."""
    entered, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with context:
            entered.set()
            leave.wait(60)

    def end() -> None:
        leave.set()
        thread.join()

    thread = threading.Thread(target=stay)
    thread.start()
    try:
        assert entered.wait(60)
        yield end
    finally:
        end()


def stderr_and_warnings() -> Any:
    """Which file descriptor 2 is, and what warnings do."""
    file = os.fstat(2)
    return (file.st_dev, file.st_ino), list(warnings.filters)


def test_stderr_comes_back_after_calls_that_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras is asked by two threads: the first to come is the first to leave, and the second is still silent then."""
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    before = stderr_and_warnings()
    with inside(oracle._silence()) as first_leaves:
        silent = stderr_and_warnings()
        assert silent != before
        with inside(oracle._silence()), oracle._silence():
            first_leaves()
            with oracle._silence():
                pass
            assert stderr_and_warnings() == silent
    assert stderr_and_warnings() == before


@pytest.mark.usefixtures("switching")
def test_stderr_comes_back_after_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    before = stderr_and_warnings()

    def call(_: int) -> Any:
        with oracle._silence():
            return stderr_and_warnings()

    with ThreadPoolExecutor(THREADS) as pool:
        silent = set(map(str, pool.map(call, range(50 * THREADS))))
    assert len(silent) == 1
    assert stderr_and_warnings() == before
