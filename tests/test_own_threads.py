"""A module whose own threads share the blocks of its layers, instead of those of the BLAS."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
from graphs import weights
from keras import layers as L
from support import export_with_answer, randomize, relative_error, run_python

import kerasgen
from kerasgen import kernels
from kerasgen.emit.load import load_module
from kerasgen.graph.ir import Graph, Node, Value
from kerasgen.graph.plan import Plan
from kerasgen.kernels import team, threads
from kerasgen.passes.plan.choose_threads import choose_threads
from kerasgen.tuning import file as tuning_file

X = np.random.RandomState(0).uniform(-1, 1, (2, 64, 64, 3)).astype("float32")


def network() -> keras.Model:
    """Most of its work is in two convolutions of 151 and 134 million multiply-adds."""
    image = keras.Input((64, 64, 3), name="image")
    x = L.Conv2D(64, 3, padding="same", activation="relu")(image)
    x = L.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = L.Conv2D(128, 3, strides=2, padding="same")(L.Conv2D(64, 3, padding="same")(x))
    return keras.Model(image, L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(x)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with net.py, x.npy, and answer.npy, which Keras gave."""
    folder = tmp_path_factory.mktemp("threads")
    export_with_answer(randomize(network()), X, folder)
    return folder


PROGRAM = """
import net, numpy
control = net.blas_threads()
before = control[0]()
y = net.predict(numpy.load("x.npy"))
assert control[0]() == before
numpy.save("y.npy", y)
print(net.THREADS if net.THREADS != before else "all", len(net.POOL.threads) == net.THREADS - 1)
"""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OPENBLAS_NUM_THREADS": "2"}, "all True"),
        ({"OPENBLAS_NUM_THREADS": "1"}, "all True"),
        ({"OPENBLAS_NUM_THREADS": "2", "KERASGEN_THREADS": "3"}, "3 True"),
        ({"OPENBLAS_NUM_THREADS": "1", "KERASGEN_THREADS": "3"}, "3 True"),
        ({"OPENBLAS_NUM_THREADS": "1", "KERASGEN_THREADS": "3", "KERASGEN_PROCESSES": "2"}, "3 False"),
    ],
    ids=str,
)
def test_as_many_as_the_blas_has(folder: Path, environment: dict[str, str], expected: str) -> None:
    """Or as many as asked for; afterwards the BLAS has its own again."""
    if team.blas_threads() is None:
        pytest.skip("NumPy has no OpenBLAS")
    done = run_python("-W", "error", "-c", PROGRAM, cwd=folder, env={**os.environ, **environment})
    assert (done.stdout, done.stderr) == (f"{expected}\n", "")
    assert relative_error(np.load(folder / "y.npy"), np.load(folder / "answer.npy")) < 1e-5


def test_a_limit_of_memory_leaves_the_threads_to_the_blas(folder: Path, tmp_path: Path) -> None:
    """Each of the module's threads would need a block of its own, and how many there are depends on the machine."""
    text = (folder / "net.py").read_text(encoding="utf-8")
    assert 'THREADS = thread_count(os.environ.get("KERASGEN_THREADS") or "blas"' in text
    kerasgen.export(folder / "net.keras", tmp_path / "net.py", max_memory=1 << 30, verify=False)
    text = (tmp_path / "net.py").read_text(encoding="utf-8")
    assert 'THREADS = thread_count(os.environ.get("KERASGEN_THREADS") or "1"' in text


@pytest.fixture
def module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module with two threads, whatever the BLAS of this process has."""
    module = load_module(folder / "net.py")
    monkeypatch.setattr(module, "THREADS", 2)
    return module


class Blas:
    """OpenBLAS's number of threads, and those that it was set to."""

    def __init__(self, count: int) -> None:
        self.history = [count]

    def control(self) -> Any:
        return lambda: self.history[-1], self.history.append


def test_the_blas_has_one_thread_meanwhile(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its own again after an error; if it has one already, that is not changed."""
    blas = Blas(4)
    monkeypatch.setattr(module, "blas_threads", blas.control)
    module.predict(X)
    assert blas.history == [4, 1, 4]
    with monkeypatch.context() as patch:
        patch.setattr(module, "dense", None)
        with pytest.raises(TypeError):
            module.predict(X)
    assert blas.history == [4, 1, 4, 1, 4]
    blas.history = [1]
    module.predict(X)
    assert blas.history == [1]
    assert (module.TEAM.threads, module.TEAM.products) == (1, False)


def test_another_blas_shares_its_products_itself(
    folder: Path, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: list[Any] = []
    monkeypatch.setattr(module, "blas_threads", lambda: None)
    monkeypatch.setattr(module, "PRODUCTS", False)
    monkeypatch.setattr(module, "share", lambda work, tasks: shared.append([work(task) for task in tasks]))
    answer = np.load(folder / "answer.npy")
    assert relative_error(module.predict(X), answer) < 1e-5
    assert not shared
    monkeypatch.setattr(module, "blas_threads", Blas(2).control)
    assert relative_error(module.predict(X), answer) < 1e-5
    assert shared


def test_many_callers(folder: Path, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets its answer, and the BLAS has its own threads again after the last."""
    blas = Blas(2)
    monkeypatch.setattr(module, "blas_threads", blas.control)
    answer = np.load(folder / "answer.npy")
    with ThreadPoolExecutor(8) as pool:
        assert all(relative_error(y, answer[:1]) < 1e-5 for y in pool.map(module.predict, [X[:1]] * 24))
    assert blas.history[-1] == 2


# --- A batch ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sharing(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, whose two threads share batches, too."""
    monkeypatch.setattr(module, "BATCH_THREADS", 2)
    monkeypatch.setattr(module, "blas_threads", Blas(2).control)
    return module


def batch(count: int) -> np.ndarray:
    return np.random.RandomState(1).uniform(-1, 1, (count, *X.shape[1:])).astype("float32")


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (2, [1, 1]), (5, [3, 2]), (0, [])])
def test_a_batch_is_shared(sharing: ModuleType, count: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread computes samples of its own, alone; afterwards, threads share layers again."""
    seen: list[tuple[int, Any]] = []
    dense = sharing.dense

    def watched(x: np.ndarray, *others: Any, **settings: Any) -> Any:
        seen.append((len(x), sharing.TEAM.apart))
        return dense(x, *others, **settings)

    monkeypatch.setattr(sharing, "dense", watched)
    x = batch(count)
    singles = [sharing.predict(each[np.newaxis]) for each in x]
    assert seen == [(1, False)] * count
    seen.clear()
    y = sharing.predict(x)
    assert y.shape == (count, 3)
    if count > 1:
        assert sorted(seen, reverse=True) == [(size, True) for size in sizes]
    assert all(relative_error(one, each[np.newaxis]) < 1e-5 for one, each in zip(singles, y, strict=True))
    assert (sharing.TEAM.threads, sharing.TEAM.samples, sharing.TEAM.apart) == (1, 1, False)


def test_as_many_samples_at_a_time_as_fit_the_cache(sharing: ModuleType) -> None:
    """Parts of equal size, as many for each thread, unless the batch is too small."""
    for most, count, sizes in [(4, 6, [3, 3]), (4, 9, [3, 3, 3]), (4, 17, [3] * 5 + [2]), (9, 1, [1]), (1, 3, [1] * 3)]:
        seen: list[int] = []
        got = sharing.share_batch(lambda x, seen=seen: seen.append(len(x)) or x, most, np.arange(count))
        assert sorted(seen, reverse=True) == sizes
        np.testing.assert_array_equal(got, np.arange(count))


def test_an_error_in_a_batch(sharing: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sharing, "dense", None)
        with pytest.raises(TypeError):
            sharing.predict(batch(4))
    assert (sharing.TEAM.threads, sharing.TEAM.samples, sharing.TEAM.apart) == (1, 1, False)
    assert sharing.predict(batch(4)).shape == (4, 3)


def test_another_blas_shares_no_batch(folder: Path, sharing: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[Any] = []
    monkeypatch.setattr(sharing, "blas_threads", lambda: None)
    monkeypatch.setattr(sharing, "PRODUCTS", False)
    monkeypatch.setattr(sharing, "share", lambda work, tasks: shared.append([work(task) for task in tasks]))
    assert relative_error(sharing.predict(X), np.load(folder / "answer.npy")) < 1e-5
    assert not shared


def test_texts_are_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the rows of a table nor moved axes let one sample see another."""
    words = keras.Input((60,), dtype="int32", name="words")
    x = L.Conv1D(256, 5, padding="same", activation="relu")(L.Embedding(50, 64)(words))
    x = L.Conv1D(32, 3, padding="same")(L.Permute((2, 1))(x))
    model = randomize(keras.Model(words, L.GlobalMaxPooling1D()(x)))
    x = np.random.RandomState(0).randint(0, 50, (5, 60)).astype("int32")
    export_with_answer(model, x, tmp_path)
    module = load_module(tmp_path / "net.py")
    monkeypatch.setattr(module, "BATCH_THREADS", 2)
    monkeypatch.setattr(module, "blas_threads", Blas(2).control)
    sizes: list[int] = []
    share = module.share
    monkeypatch.setattr(module, "share", lambda work, tasks: sizes.append(len(tasks)) or share(work, tasks))
    assert relative_error(module.predict(x), np.load(tmp_path / "answer.npy")) < 1e-5
    assert sizes == [2]


def test_small_networks_share_no_batch() -> None:
    arrays = weights(d__kernel=(1000, 4000))
    image, d = Value("image", (None, 1000), "float32"), Value("d", (None, 4000), "float32")
    node = Node(("d",), kernels.dense, ("image", "d/kernel"))
    plan = Plan(Graph((image,), (node,), ("d",), arrays, specs={"image": image, "d": d}))
    assert choose_threads(plan).shares_batch is None
    assert choose_threads(plan, few=3_999_999).shares_batch == 0
    assert choose_threads(plan, few=3_999_999, mean=4_000_000).shares_batch is None


def test_a_batch_of_images_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads share it if its images are large enough. Each thread computes as many at once as fit the cache."""
    image = keras.Input((None, None, 4), name="image")
    x = L.Conv2D(32, 3, padding="same", activation="relu")(image)
    x = L.Conv2D(32, 3, padding="same", activation="relu")(x)
    model = randomize(keras.Model(image, L.Dense(3)(L.GlobalAveragePooling2D()(x))))
    cell = 9 * 4 * 32 + 9 * 32 * 32
    x = np.random.RandomState(0).uniform(-1, 1, (40, 20, 20, 4)).astype("float32")
    assert x[0].size >= 4 * 4_000_000 / cell
    export_with_answer(model, x, tmp_path)
    module = load_module(tmp_path / "net.py")
    monkeypatch.setattr(module, "BATCH_THREADS", 2)
    monkeypatch.setattr(module, "blas_threads", Blas(2).control)
    sizes: list[list[int]] = []
    dense = module.dense
    monkeypatch.setattr(module, "dense", lambda x, *others: sizes[-1].append(len(x)) or dense(x, *others))
    for side, expected in ((19, [40]), (20, [20, 20])):
        part = np.ascontiguousarray(x[:, :side, :side])
        sizes.append([])
        assert relative_error(module.predict(part), model.predict(part, verbose=0)) < 1e-5
        assert sizes[-1] == expected
    text = (tmp_path / "net.py").read_text(encoding="utf-8")
    most = (1 << 22) * 4 // (4 * 32)  # elements of images whose arrays of 32 channels have 4 MB
    assert f"[:1].size >= {math.ceil(4 * 4_000_000 / cell):_}:" in text
    assert f"share_batch(predict, max(1, {most:_} // " in text


# --- Tuning, and how many there are -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "count"), [("3", 3), ("1", 1)])
def test_kernels_are_timed_with_as_many(folder: Path, asked: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `--tune`: what is fastest with them is wanted."""

    def tuning_of(*works: Any) -> str:
        raise LookupError(team.TEAM.threads)

    monkeypatch.setenv("KERASGEN_THREADS", asked)
    monkeypatch.setattr(tuning_file, "tuning_of", tuning_of)
    with pytest.raises(LookupError, match=f"^{count}$"):
        kerasgen.export(folder / "net.keras", folder / "tuned.py", tune=folder / "net.tune.json", verify=False)


@pytest.mark.parametrize("names", [(), ("other_%s",)])
def test_no_openblas(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team, "OPENBLAS", names)
    assert team.blas_threads() is None
    assert threads.thread_count("blas", 8) == 1


@pytest.mark.parametrize(("of_blas", "count"), [(1, 1), (4, 4), (64, 8)])
def test_no_more_than_python_can_run(of_blas: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "blas_threads", Blas(of_blas).control)
    assert threads.thread_count("blas", 2) == count


NUMBERS = math.ceil(80_000_000 * 16 / (3 * 3 * 16 * 64))  # of an image with 16 channels, whose layer is just large


@pytest.mark.parametrize(
    ("window", "size", "own"),
    [(3, 256, 0), (1, 256, None), (3, 64, None), (3, None, NUMBERS), (1, None, None)],
    ids=["large", "no window", "small", "open", "open, no window"],
)
def test_which_networks_have_own_threads(window: int, size: int | None, own: int | None) -> None:
    kernel = {"pad": "same", "strides": (1, 1), "dilation": (1, 1)}
    arrays = weights(c__kernel=(window, window, 16, 64))
    node = Node(("c",), kernels.conv2d, ("image", "c/kernel"), kernel)
    image, c = (Value(name, (None, size, size, count), "float32") for name, count in (("image", 16), ("c", 64)))
    graph = Graph((image,), (node,), ("c",), arrays, ("c",), specs={"image": image, "c": c})
    assert choose_threads(Plan(graph)).own_threads == own


def test_images_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those from the size on at which the layers that together are most of the work are large, each by itself."""
    image = keras.Input((None, None, 3), name="image")
    x = L.Conv2D(48, 3, strides=2, padding="same", activation="relu")(image)
    x = L.Conv2D(48, 3, padding="same")(x)
    x = L.Conv2D(16, 3, padding="same", activation="relu")(L.UpSampling2D()(x))
    model = randomize(keras.Model(image, L.Dense(3)(L.GlobalAveragePooling2D()(x))))
    least = math.ceil(80_000_000 * 3 / (9 * 48 * 48 / 4))  # where the second layer is
    small, large = (
        np.random.RandomState(0).uniform(-1, 1, (2, side, side, 3)).astype("float32") for side in (124, 126)
    )
    assert small[0].size < least <= large[0].size
    export_with_answer(model, large, tmp_path)
    assert f"[:1].size >= {least:_})" in (tmp_path / "net.py").read_text(encoding="utf-8")
    module = load_module(tmp_path / "net.py")
    monkeypatch.setattr(module, "THREADS", 2)
    blas = Blas(2)
    monkeypatch.setattr(module, "blas_threads", blas.control)
    assert relative_error(module.predict(small), model.predict(small, verbose=0)) < 1e-5
    assert blas.history == [2]  # a batch of small images stays small
    assert relative_error(module.predict(large), np.load(tmp_path / "answer.npy")) < 1e-5
    assert blas.history == [2, 1, 2]
