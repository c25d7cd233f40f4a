"""TensorFlow says nothing and computes the same everywhere."""

import compileall
import gc
import os
import re
import signal
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings

# `--hypothesis-profile long` draws many more settings, other ones each time.
CHECKS = list(HealthCheck)
settings.register_profile("fixed", max_examples=40, derandomize=True, deadline=None, suppress_health_check=CHECKS)
settings.register_profile("long", max_examples=2000, deadline=None, suppress_health_check=CHECKS)
settings.load_profile("fixed")

# The package is compiled once, not by each of the hundreds of processes that the tests start. These write no bytecode:
# Python takes it for current where a module's size and second are those it was compiled from, which holds for modules
# that a test has altered as well.
compileall.compile_dir(Path(__file__).parents[1] / "kerasgen", quiet=1)
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
sys.dont_write_bytecode = True
# Nor is what pip installs for a moment compiled as a whole. (pip wants "no" where it is not to do so.)
os.environ["PIP_NO_COMPILE"] = "no"
# What is imported and collected stays until the end: the garbage collector need not look at it again and again.
gc.disable()

# Tests run side by side, one on each core: threads would spin while they wait for those of others.
for threads in ("OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(threads, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # without it, some processors have no convolutions channels first

# Fixtures that run the command line, modules on other Pythons and without NumPy, and pytest itself.
pytest_plugins = ["command", "pairs", "interpreters", "pytester"]
pytest.register_assert_rewrite("model_files", "saved_models")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Write tests/golden anew.")
    parser.addoption(
        "--thorough",
        action="store_true",
        help="Run every test: those marked `thorough`, and all of those of which one in a few is enough.",
    )
    parser.addoption(
        "--shuffle", type=int, metavar="SEED", help="Run the files in a random order, and each one's tests."
    )


@pytest.hookimpl(tryfirst=True)  # pytest groups tests by the fixtures that they share afterwards
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if re.search("at 0x[0-9a-f]+", item.nodeid):
            raise pytest.UsageError(f"{item.nodeid}: the address differs between processes; give the case another id")
    if not config.getoption("--thorough"):
        left_out = [item for item in items if not taken(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if taken(item)]
    seed = config.getoption("--shuffle")
    if seed is not None:
        random = Random(seed)
        files = list(dict.fromkeys(item.path for item in items))
        random.shuffle(files)
        random.shuffle(items)
        items.sort(key=lambda item: files.index(item.path))


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


def taken(item: pytest.Item) -> bool:
    """Whether a test runs without --thorough: the same ones every time, on every machine."""
    share = item.get_closest_marker("one_in")
    if share is not None:
        by = share.kwargs.get("by")
        key = item.callspec.params[by] if by else item.name  # type: ignore[attr-defined]
        return zlib.crc32(key.encode()) % share.args[0] == 0
    return item.get_closest_marker("thorough") is None


@pytest.fixture(scope="module")
def unformatted() -> Iterator[None]:
    """Modules are printed without black, which takes a third of the time of making one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("black.format_str", lambda text, mode: text)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_gpu() -> Iterator[None]:
    """Keras 2 builds each LSTM and GRU again for a GPU, gradients included: three quarters of what a model takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tf_keras.src.layers.rnn.gru_lstm_utils.function_register", lambda *_, **__: None)
        yield


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Ctrl-C interrupts, in the test and in what it starts, though the background jobs of a shell begin without it.

    The command line has a handler of its own for the request to end: it goes with the test that has run it.
    """
    before = [(sign, signal.getsignal(sign)) for sign in (signal.SIGINT, signal.SIGTERM)]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for sign, handler in before:
        signal.signal(sign, handler or signal.SIG_DFL)
