"""Inputs that suit a model: the range that each layer after an input suggests, and the inputs made from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras
from keras import layers as L
from keras import ops
from support import SHARED_MODELS

import kerasgen
from kerasgen.builder import build
from kerasgen.emit.runtime.inputs import hashed, make_input
from kerasgen.readers import read
from kerasgen.verification.inputs import (
    BATCH,
    EDGES,
    MANY_CELLS,
    TOO_MANY_CELLS,
    Recipe,
    TooLarge,
    draw,
    edge_inputs,
    load_inputs,
    random_inputs,
    recipes,
)


def recipe_of(model: Any, custom: Any = None) -> Recipe:
    """The recipe of the only input of a model."""
    file = read(model)
    (recipe,) = recipes(build(file, custom).bind(), file.model)
    return recipe


def behind(*layers: Any, shape: tuple[Any, ...] = (8, 8, 3), dtype: str = "float32") -> Any:
    return keras.Sequential([keras.Input(shape, dtype=dtype, name="x"), *layers])


def conv() -> Any:
    return L.Conv2D(4, 3)


def by_operations(change: Callable[[Any], Any], shape: tuple[int, ...] = (8, 8, 3), dtype: str = "float32") -> Any:
    x = keras.Input(shape, dtype=dtype, name="x")
    return keras.Model(x, L.Conv2D(4, 3)(change(x)))


def normalization(mean: Any, variance: Any) -> Any:
    return L.Normalization(mean=mean, variance=variance)


def adapted(library: Any) -> Any:
    layer = library.layers.Normalization()
    layer.adapt(np.array([[30.0, 1000.0], [50.0, 3000.0]], "float32"))
    return library.Sequential([library.layers.Input((2,)), layer, library.layers.Dense(3)])


def with_statistics(first: Any, mean: Any, variance: Any, norm_first: bool = False) -> Any:
    norm = L.BatchNormalization(epsilon=1e-6)
    model = behind(*([norm, first] if norm_first else [first, norm]))
    norm.moving_mean.assign(np.broadcast_to(np.float32(mean), norm.moving_mean.shape))
    norm.moving_variance.assign(np.broadcast_to(np.float32(variance), norm.moving_variance.shape))
    return model


def scaled_by_hand(x):  # type: ignore[no-untyped-def] # it is copied into a module
    return x / 255.0 - 0.5


FLOATS = {
    "nothing is told": (lambda: behind(conv()), -2, 2),
    "division by 255": (lambda: behind(L.Rescaling(1 / 255), conv()), 0, 255),
    "to -1 and 1": (lambda: behind(L.Rescaling(1 / 127.5, -1), conv()), 0, 255),
    "two in a row": (lambda: behind(L.Rescaling(1 / 255), L.Rescaling(2.0, -1.0), conv()), 0, 255),
    "moved before": (lambda: behind(L.ZeroPadding2D(1), L.CenterCrop(8, 8), L.Rescaling(1 / 255), conv()), 0, 255),
    "operations": (lambda: by_operations(lambda x: x / 255.0), 0, 255),
    "operations that shift": (lambda: by_operations(lambda x: (x - 127.5) / 127.5), 0, 255),
    "of 0 to 1": (lambda: by_operations(lambda x: x * 2.0 - 1.0), 0, 1),
    "of 0 to 1 by statistics": (lambda: by_operations(lambda x: (x - 0.13) / 0.31), -0.18, 0.44),
    "less the mean": (lambda: by_operations(lambda x: x[..., ::-1] - np.float32([116, 116, 116])), 0, 232),
    "statistics": (lambda: behind(normalization(100.0, 400.0), conv()), 60, 140),
    "statistics of what is scaled": (lambda: behind(L.Rescaling(1 / 255), normalization(0.5, 0.0625), conv()), 0, 255),
    "batch normalisation": (lambda: with_statistics(conv(), 50.0, 100.0, norm_first=True), 30, 70),
    "bins": (lambda: behind(L.Discretization([0.0, 10.0, 20.0], output_mode="one_hot"), shape=(1,)), -10, 30),
}


@pytest.mark.parametrize("name", FLOATS)
def test_the_range_of_floats(name: str) -> None:
    model, low, high = FLOATS[name]
    recipe = recipe_of(model())
    assert (recipe.low, recipe.high) == (pytest.approx(low, abs=2e-2 * (high - low)), pytest.approx(high, rel=2e-2))
    guessed = (low, high) == (-2, 2)
    assert (recipe.whole, recipe.shape[0]) == (False, BATCH + guessed)


@pytest.mark.parametrize("library", [keras, tf_keras], ids=lambda library: library.__name__)
def test_each_feature_has_its_range(library: Any, tmp_path: Path) -> None:
    adapted(library).save(tmp_path / "model.keras")
    recipe = recipe_of(tmp_path / "model.keras")
    assert recipe.low == (20.0, 0.0)
    assert recipe.high == (60.0, 4000.0)
    (array,) = draw([recipe])
    assert 20 <= array[0, 0] <= 60
    assert 0 <= array[0, 1] <= 4000
    assert array[3].tolist() in ([20, 0], [60, 0], [20, 4000], [60, 4000])


def test_sums_tell_of_a_scale() -> None:
    """Statistics behind a convolution, of images that nothing scales before it."""
    convolution = conv()
    model = with_statistics(convolution, 0.0, 0.0)
    kernel = np.random.RandomState(0).standard_normal((3, 3, 3, 4)).astype("float32") / 5
    convolution.set_weights([kernel, np.zeros(4, "float32")])
    columns = kernel.reshape(-1, 4)
    norm = model.layers[-1]
    norm.moving_mean.assign(120 * columns.sum(axis=0))
    norm.moving_variance.assign(60**2 * np.square(columns).sum(axis=0))
    recipe = recipe_of(model)
    assert (recipe.low, recipe.high) == (pytest.approx(0, abs=1), pytest.approx(240, abs=1))
    norm.moving_mean.assign(0 * columns.sum(axis=0))
    norm.moving_variance.assign(2 * np.square(columns).sum(axis=0))
    assert (recipe_of(model).low, recipe_of(model).high) == (-2, 2)


def test_a_function_of_the_users_own() -> None:
    """A scale that only running it can tell."""
    model = by_operations(L.Lambda(lambda x: x, name="mine"))
    recipe = recipe_of(model, {"mine": scaled_by_hand})
    assert (recipe.low, recipe.high) == (pytest.approx(0, abs=1), pytest.approx(255, rel=1e-2))
    recipe = recipe_of(model, {"mine": curved_by_hand})
    assert (recipe.low, recipe.high) == (-2, 2)


def curved_by_hand(x):  # type: ignore[no-untyped-def] # it is copied into a module
    return x * x / 255.0


def test_networks_of_keras_applications() -> None:
    image = keras.Input((64, 64, 3), name="image")
    network = keras.applications.VGG16(weights=None, include_top=False, input_shape=(64, 64, 3))
    recipe = recipe_of(keras.Model(image, network(image)))
    assert (recipe.low, recipe.high) == (-124, 151)


def lookup(**settings: Any) -> Any:
    return behind(L.IntegerLookup(vocabulary=[12, 10, 11, 90], **settings), shape=(5,), dtype="int64")


def two_tables() -> Any:
    x = keras.Input((5,), dtype="int32")
    return keras.Model(x, L.Add()([L.Embedding(30, 4)(x), L.Embedding(7, 4)(x)]))


WHOLE = {
    "table": (lambda: behind(L.Embedding(7, 4), shape=(5,), dtype="int32"), 0, 6),
    "table of floats": (lambda: behind(L.Embedding(7, 4), shape=(5,)), 0, 6),
    "two tables": (two_tables, 0, 6),
    "classes": (lambda: behind(L.CategoryEncoding(9), shape=(30,), dtype="int32"), 0, 8),
    "vocabulary": (lookup, 10, 90),
    "vocabulary alone": (lambda: lookup(num_oov_indices=0), 10, 12),
    "bytes": (lambda: by_operations(lambda x: ops.cast(x, "float32"), dtype="uint8"), 0, 255),
    "scaled bytes": (lambda: behind(L.Rescaling(1 / 255), conv(), dtype="uint8"), 0, 255),
    "any": (lambda: by_operations(lambda x: ops.cast(x, "float32"), dtype="int32"), 0, 9),
    "truth": (lambda: by_operations(lambda x: ops.cast(x, "float32"), dtype="bool"), 0, 1),
}


@pytest.mark.parametrize("name", WHOLE)
def test_the_range_of_whole_numbers(name: str) -> None:
    model, low, high = WHOLE[name]
    recipe = recipe_of(model())
    assert (recipe.low, recipe.high, recipe.whole) == (low, high, True)
    (array,) = draw([recipe], seed=3)
    assert (array.min(), array.max()) == (low, high)
    assert array.dtype == recipe.dtype
    assert np.array_equal(array, np.floor(array))


def ids() -> Any:
    """Two tables that are read by inputs of one number each."""
    user, film = keras.Input((1,), dtype="int32", name="user"), keras.Input((1,), dtype="int32", name="film")
    tables = [L.Flatten()(L.Embedding(count, 3)(x)) for x, count in ((user, 40), (film, 900))]
    return keras.Model([user, film], L.Dot(1)(tables))


COUNTED = {
    "words": (lambda: behind(L.Embedding(50, 8), shape=(20,), dtype="int32"), BATCH + 3),
    "fewer than a sample has": (lambda: behind(L.Embedding(7, 4), shape=(20,), dtype="int32"), BATCH + 1),
    "several inputs": (ids, BATCH + 900),
    "vocabulary": (lambda: lookup(), BATCH + 17),
}


@pytest.mark.parametrize("name", COUNTED)
def test_all_that_a_table_has_is_named(name: str) -> None:
    model, samples = COUNTED[name]
    file = read(model())
    wanted = recipes(build(file).bind(), file.model)
    for recipe, array in zip(wanted, draw(wanted, seed=5), strict=True):
        assert len(array) == samples
        assert set(np.unique(array)) == set(range(recipe.low, recipe.high + 1))


def test_a_large_table_is_named_in_part() -> None:
    """As far as the graph makes few numbers of it."""
    table = L.Embedding(100_000, 100, embeddings_initializer="zeros")
    samples, _ = recipe_of(behind(table, L.Flatten(), L.Dense(3), shape=(50,), dtype="int32")).shape
    assert 100 < samples - BATCH < 1000
    assert recipe_of(behind(table, L.Flatten(), L.Dense(3), shape=(50_000,), dtype="int32")).shape[0] <= BATCH
    assert recipe_of(by_operations(lambda x: ops.cast(x, "float32"), dtype="uint8")).shape[0] == BATCH  # no table


# ---------------------------------------------------------------- what is made


def test_the_kinds_of_samples() -> None:
    image = make_input((10, 32, 32, 3), "float32", 0.0, 255.0)
    for even, smooth, normal, sparse, wide in (image[:5], image[5:]):
        assert 0 <= even.min() < 5
        assert 250 < even.max() <= 255
        assert 0 <= smooth.min() < smooth.max() - 60
        assert smooth.max() <= 255
        for axis in (0, 1):  # of cells side by side
            assert np.abs(np.diff(smooth, axis=axis)).mean() < 0.5 * np.abs(np.diff(even, axis=axis)).mean()
        assert abs(normal.mean()) < 0.1
        assert 0.9 < normal.std() < 1.1
        assert set(np.unique(sparse)) == {0, 255}
        assert 0.1 < np.mean(sparse == 255) < 0.15
        assert wide.min() < -60
        assert wide.max() > 2 * 255
        assert np.abs(np.diff(wide, axis=0)).mean() < 0.2 * np.ptp(wide)
    assert not np.array_equal(image[0], image[5])


def scrambled(position: int, seed: int) -> int:
    """The generator as documented, with Python's own integers."""
    n = (position + seed * 0x9E3779B9) % 2**32
    n = (n ^ (n >> 16)) * 0x85EBCA6B % 2**32
    n = (n ^ (n >> 13)) * 0xC2B2AE35 % 2**32
    return n ^ (n >> 16)


def test_the_generator_is_what_it_says() -> None:
    assert hashed(5, 50, 3).tolist() == [scrambled(i, 3) for i in range(5, 50)]
    even = make_input((1, 2, 50), "float64", 10.0, 12.0, seed=3)
    assert even.ravel().tolist() == [10 + scrambled(i, 3) / 2**32 * 2 for i in range(100)]
    assert make_input((1, 100), "int32", 0, 6).ravel().tolist() == [scrambled(i, 0) * 7 // 2**32 for i in range(100)]
    normal = make_input((3, 100), "float64", 10.0, 12.0)[2]
    assert normal.tolist() == [(sum(scrambled(i, 0).to_bytes(4, "big")) - 510) / 148 for i in range(200, 300)]
    assert make_input((7, 50), "int32", 3, 9)[4:].ravel().tolist() == [3 + i % 7 for i in range(150)]


def test_blocks_do_not_show() -> None:
    """A large sample is made block by block, and is what it would be as a whole."""
    assert make_input((6, 1000, 100), "int32", 0, 10**6)[4:].ravel().tolist() == list(range(200_000))
    large = make_input((2, 1000, 100), "float32", 0.0, 1.0)
    assert large[0].ravel().tolist()[:: 997 * 7] == [
        np.float32(scrambled(i, 0) / 2**32) for i in range(0, 100_000, 6979)
    ]
    assert np.abs(np.diff(large[1], axis=0)).max() < 0.02


@pytest.mark.parametrize("shape", [(4,), (4, 0), (0, 3), (1, 1), (5, 2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int8", "uint8", "int64", "bool", "complex64"])
def test_every_shape_and_dtype(shape: tuple[int, ...], dtype: str) -> None:
    array = make_input(shape, dtype, 0, 1)
    assert (array.shape, array.dtype) == (shape, dtype)
    assert np.isfinite(array).all()


def test_the_size_is_bounded() -> None:
    """Before anything is made."""

    def shape(*sizes: int | None) -> tuple[int, ...]:
        return recipe_of(keras.Model(x := keras.Input(sizes), L.ReLU()(x))).shape

    assert shape(224, 224, 3)[0] == BATCH + 1
    assert shape(512, 512, 3)[0] == 2
    assert shape(50, 290, 480, 3)[0] == 1
    assert shape(None, None, 3) == (BATCH + 1, 128, 128, 3)
    assert np.prod(shape(None, None, None, 1)) <= (BATCH + 1) * MANY_CELLS
    assert np.prod(shape(None, 224, 224, 3)) <= (BATCH + 1) * MANY_CELLS
    huge = recipe_of(keras.Model(x := keras.Input((TOO_MANY_CELLS, 2)), L.ReLU()(x)))
    with pytest.raises(TooLarge):
        draw([huge])


def test_a_batch_that_the_model_fixes() -> None:
    x = keras.Input(batch_shape=(7, 5, 4))
    assert recipe_of(keras.Model(x, L.LSTM(3, stateful=True)(x))).shape == (7, 5, 4)


def test_random_inputs_of_a_module() -> None:
    inputs = (("a", (None, 4), "float32"), ("b", (None, None), "int32"))
    a, b = random_inputs(inputs, seed=1)
    assert (a.shape, b.shape) == ((4, 4), (4, 128))
    assert not np.array_equal(a, random_inputs(inputs)[0])
    assert np.array_equal(a, random_inputs(inputs, seed=1)[0])


def test_edges_stay_in_the_range_of_whole_numbers() -> None:
    edges = edge_inputs([Recipe((4, 3), "int32", 10, 90, True), Recipe((4, 2), "float32", 0.0, 255.0)])
    assert list(edges) == list(EDGES)
    assert [int(whole[0, 0]) for whole, _ in edges.values()] == [10, 10, 10, 90, 50]
    assert [(floats.min() < 0, np.abs(floats).max() > 1e3) for _, floats in edges.values()] == [
        *[(False, False)] * 2,
        *[(True, False), (True, True), (True, False)],
    ]


# ---------------------------------------------------------------- the user's own

INPUTS = (("left", (None, 4), "float32"), ("right", (None, 3), "float32"))


def test_arrays_instead_of_files() -> None:
    left, right = np.ones((2, 4)), np.zeros((2, 3), "int32")
    for source in ([left, right], {"right": right, "left": left}, {"one": left, "two": right}):
        a, b = load_inputs(source, INPUTS)
        assert (a.shape, b.shape, a.dtype, b.dtype) == ((2, 4), (2, 3), "float32", "float32")
    (alone,) = load_inputs(left, INPUTS[:1])
    assert alone.shape == (2, 4)
    for wrong in (left, [left], [left, right, right], {"left": left}, [right, left]):
        with pytest.raises(kerasgen.UsageError, match="inputs: "):
            load_inputs(wrong, INPUTS)


@pytest.mark.skipif(not SHARED_MODELS.exists(), reason="no models of others here")
def test_a_model_of_large_inputs() -> None:
    """Fifty images a sample: one sample, and nothing is made only to see that nobody answers."""
    source = SHARED_MODELS / "wild" / "vcskaushik1_trained_model.hdf5"
    recipe = recipe_of(source)
    assert recipe.shape == (1, 50, 290, 480, 3)
