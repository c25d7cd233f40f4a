"""Modules that learn: their gradients, their training and their explanations, as Keras has them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from command import Run
from keras import layers as L
from support import ROOT, randomize, relative_error, save

import kerasgen
from kerasgen.backward.options import GradientOptions
from kerasgen.emit.load import load_module

DIGITS = ROOT / "examples" / "digits"
STEPS = 50


def exported(source: Any, folder: Path, **options: Any) -> ModuleType:
    path = folder / "net.py"
    kerasgen.export(source, path, verify=False, force=True, gradients=GradientOptions(**options))
    return load_module(path)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    with np.load(DIGITS / "digits.npz") as data:
        return data["images"].astype("float32"), data["labels"].astype("int64")


def key(variable: Any) -> str:
    """The name of a variable in a module."""
    return "/".join(variable.path.split("/")[-2:])


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd(learning_rate=0.005)": lambda: keras.optimizers.SGD(0.005),
    "sgd(learning_rate=0.01, momentum=0.9)": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "sgd(learning_rate=0.005, momentum=0.9, nesterov=True)": lambda: keras.optimizers.SGD(
        0.005, momentum=0.9, nesterov=True
    ),
    "adam": lambda: keras.optimizers.Adam(),
    "rmsprop": lambda: keras.optimizers.RMSprop(),
    "rmsprop(learning_rate=0.0005, rho=0.8, momentum=0.5)": lambda: keras.optimizers.RMSprop(
        0.0005, rho=0.8, momentum=0.5
    ),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_steps_are_those_of_keras(optimizer: str, digits: Any, tmp_path: Path) -> None:
    """The same losses, and the same weights at the end; dropout is off, and batch statistics are frozen."""
    images, labels = np.roll(digits[0], 1, axis=1), digits[1]  # one cell further down: there is something to learn
    module = exported(
        DIGITS / "digits.h5", tmp_path, loss="sparse_categorical_crossentropy", optimizer=optimizer, inputs=False
    )
    model = keras.models.load_model(DIGITS / "digits.h5", compile=False)
    rule, loss = OPTIMIZERS[optimizer](), keras.losses.SparseCategoricalCrossentropy()
    variables = model.trainable_variables

    @tf.function
    def step(x: Any, t: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(t, model(x, training=False))
        rule.apply_gradients(zip(tape.gradient(value, variables), variables, strict=True))
        return value

    random = np.random.RandomState(0)
    for _ in range(STEPS):
        batch = random.permutation(len(images))[:32]
        wanted = float(step(images[batch], labels[batch]))
        assert abs(module.train_step(images[batch], labels[batch]) - wanted) <= 1e-4 * max(1.0, wanted)
    by_name = {key(variable): variable.numpy() for variable in variables}
    assert set(module.TRAINABLE) == set(by_name)
    for name in module.TRAINABLE:
        assert relative_error(module.W[name], by_name[name]) <= 1e-3, name
    assert relative_error(module.predict(images[:8]), model(images[:8], training=False)) <= 1e-3


LOSSES: dict[str, tuple[Any, Callable[[Any], Any], bool]] = {
    "mean_squared_error": (keras.losses.MeanSquaredError(), lambda r: r.uniform(-1, 1, (6, 4)), False),
    "mean_absolute_error": (keras.losses.MeanAbsoluteError(), lambda r: r.uniform(-1, 1, (6, 4)), False),
    "binary_crossentropy": (keras.losses.BinaryCrossentropy(), lambda r: r.randint(0, 2, (6, 4)), False),
    "categorical_crossentropy": (
        keras.losses.CategoricalCrossentropy(),
        lambda r: np.eye(4)[r.randint(0, 4, 6)],
        False,
    ),
    "sparse_categorical_crossentropy": (
        keras.losses.SparseCategoricalCrossentropy(),
        lambda r: r.randint(0, 4, 6),
        False,
    ),
    "binary_crossentropy logits": (
        keras.losses.BinaryCrossentropy(from_logits=True),
        lambda r: r.uniform(0, 1, (6, 4)),
        True,
    ),
    "categorical_crossentropy logits": (
        keras.losses.CategoricalCrossentropy(from_logits=True),
        lambda r: r.dirichlet([1, 1, 1, 1], 6),
        True,
    ),
    "sparse_categorical_crossentropy logits": (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        lambda r: r.randint(0, 4, (6, 1)),
        True,
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_those_of_keras(name: str, tmp_path: Path) -> None:
    loss, make, from_logits = LOSSES[name]
    last = "linear" if from_logits or "error" in name else "sigmoid" if "binary" in name else "softmax"
    model = keras.Sequential([keras.Input((5,), name="x"), L.Dense(4, activation=last, name="last")])
    randomize(model)
    path = save(model, tmp_path / "m.keras")
    module = exported(
        path, tmp_path, loss=name.partition(" ")[0], from_logits=from_logits, optimizer="sgd(learning_rate=1.0)"
    )
    random = np.random.RandomState(1)
    x = random.uniform(-9, 9, (6, 5)).astype("float32")  # some probabilities are as good as 0 and 1
    targets = np.asarray(make(random))
    before = {name: array.copy() for name, array in module.W.items()}
    with tf.GradientTape() as tape:
        wanted = loss(targets.astype("float32") if targets.dtype.kind == "f" else targets, model(x))
    gradients = tape.gradient(wanted, model.trainable_variables)
    assert abs(module.train_step(x, targets) - float(wanted)) <= 1e-5 * max(1.0, float(wanted))
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        got = before[key(variable)] - module.W[key(variable)]
        assert relative_error(got, np.asarray(gradient)) <= 1e-4, variable.path


def two_inputs() -> Any:
    a, b = keras.Input((4,), name="a"), keras.Input((3,), dtype="int32", name="b")
    joined = L.Concatenate()(
        [L.Dense(5, activation="tanh", name="left")(a), L.Flatten()(L.Embedding(6, 2, name="words")(b))]
    )
    outputs = [L.Dense(2, activation="softmax", name="kind")(joined), L.Dense(1, name="size")(joined)]
    return randomize(keras.Model([a, b], outputs, name="two"))


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    path = save(two_inputs(), tmp_path / "m.keras")
    module = exported(path, tmp_path, loss="mean_squared_error", optimizer="sgd(learning_rate=0.05)")
    random = np.random.RandomState(0)
    inputs = random.uniform(-1, 1, (8, 4)).astype("float32"), random.randint(0, 6, (8, 3)).astype("int32")
    targets = random.uniform(0, 1, (8, 2)).astype("float32"), random.uniform(0, 1, (8, 1)).astype("float32")
    losses = [module.train_step(inputs, targets) for _ in range(20)]
    assert losses[-1] < 0.8 * losses[0]
    result = kerasgen.verify(path, tmp_path / "net.py", gradients=True)
    assert result.ok, str(result)
    assert {report.name for report in result.gradients} >= {"d_a", "d_words/embeddings", "d_kind/bias"}


@pytest.mark.parametrize("inputs", [False, True])
def test_frozen_layers_around_trained_ones(inputs: bool, tmp_path: Path) -> None:
    """They are folded and fast where the gradients do not pass, and right where they do."""
    image = keras.Input((40, 40, 3), name="image")
    x = L.Conv2D(16, 3, padding="same", use_bias=False, name="first", trainable=False)(image)
    x = L.ReLU(name="first_relu")(L.BatchNormalization(name="first_norm", trainable=False)(x))
    x = L.DepthwiseConv2D(3, padding="same", name="depthwise", trainable=False)(x)
    x = L.Conv2D(16, 3, padding="same", activation="relu", name="middle")(x)
    x = L.Conv2D(16, 3, padding="same", use_bias=False, name="last", trainable=False)(x)
    x = L.BatchNormalization(name="last_norm", trainable=False)(x)
    x = L.GlobalAveragePooling2D(name="gap")(L.Concatenate(name="join")([x, L.UpSampling2D()(L.MaxPooling2D()(x))]))
    model = randomize(keras.Model(image, L.Dense(3, activation="softmax", name="kind", trainable=False)(x), name="m"))
    path = save(model, tmp_path / "m.keras")
    module = exported(path, tmp_path, inputs=inputs)
    assert module.TRAINABLE == ("middle/kernel", "middle/bias")
    text = (tmp_path / "net.py").read_text().partition("def forward")[0]
    assert "batch_norm(" not in text  # folded, into kernels that backward reads, too
    assert ("tiled_depthwise_conv2d(" in text) != inputs  # unless backward reads its kernel
    result = kerasgen.verify(path, tmp_path / "net.py", gradients=True)
    assert result.ok, str(result)
    assert len(result.gradients) == 2 + inputs


def test_weights_are_saved_and_loaded(digits: Any, tmp_path: Path) -> None:
    options = {"loss": "sparse_categorical_crossentropy", "optimizer": "adam", "trainable": ("digit",), "inputs": False}
    module = exported(DIGITS / "digits.h5", tmp_path, **options)
    before = module.predict(digits[0][:4])
    for _ in range(3):
        module.train_step(16 - digits[0][:32], digits[1][:32])
    module.save_weights(tmp_path / "w.npz")
    after = module.predict(digits[0][:4])
    assert np.abs(after - before).max() > 1e-4
    fresh = load_module(tmp_path / "net.py")
    np.testing.assert_array_equal(fresh.predict(digits[0][:4]), before)
    fresh.load_weights(tmp_path / "w.npz")
    np.testing.assert_array_equal(fresh.predict(digits[0][:4]), after)
    with np.load(tmp_path / "w.npz") as npz:
        arrays = dict(npz)
    assert set(arrays) == {"digit/kernel", "digit/bias"}
    for wrong in (
        {"digit/kernel": arrays["digit/kernel"]},
        {**arrays, "digit/bias": arrays["digit/bias"][1:]},
        {**arrays, "digit/bias": arrays["digit/bias"].astype("float64")},
        {**arrays, "more": np.zeros(1)},
    ):
        np.savez(tmp_path / "wrong.npz", **wrong)
        with pytest.raises(ValueError, match=r"wrong.npz: "):
            fresh.load_weights(tmp_path / "wrong.npz")
        np.testing.assert_array_equal(fresh.predict(digits[0][:4]), after)


def test_what_is_saved_is_used_up(digits: Any, tmp_path: Path) -> None:
    module = exported(DIGITS / "digits.h5", tmp_path)
    outputs, saved = module.forward(digits[0][:3])
    np.testing.assert_allclose(outputs, module.predict(digits[0][:3]), rtol=1e-5, atol=1e-7)
    d_image, d_weights = module.backward(saved, np.ones_like(outputs))
    assert d_image.shape == digits[0][:3].shape
    assert set(d_weights) == set(module.TRAINABLE)
    assert not saved
    _, saved = module.forward(digits[0][:3])
    nothing, same = module.backward(saved, np.ones_like(outputs), inputs=False)
    assert nothing is None
    for name, gradient in d_weights.items():
        np.testing.assert_array_equal(same[name], gradient)


def test_explanations(tmp_path: Path) -> None:
    explain = ("saliency", "integrated_gradients", "grad_cam=shapes_relu")
    module = exported(DIGITS / "digits.h5", tmp_path, explain=explain, trainable=None)
    model = keras.models.load_model(DIGITS / "digits.h5", compile=False)
    images = np.random.RandomState(0).uniform(0, 16, (5, 8, 8, 1)).astype("float32")  # no digit: no score is near 1
    x = tf.constant(images)
    layer = keras.Model(model.inputs, [model.get_layer("shapes_relu").output, *model.outputs])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        maps, scores = layer(x, training=False)
        tape.watch(maps)
        chosen = tf.reduce_max(scores, axis=-1)
    expected = np.abs(tape.gradient(chosen, x)).max(axis=-1)
    assert relative_error(module.saliency(images), expected) <= 1e-4
    classes = np.arange(5)
    other = module.saliency(images, classes)
    with tf.GradientTape() as second:
        second.watch(x)
        picked = tf.gather(model(x, training=False), classes, axis=1, batch_dims=1)
    assert relative_error(other, np.abs(second.gradient(picked, x)).max(axis=-1)) <= 1e-4
    head = keras.Sequential([keras.Input(maps.shape[1:]), *model.layers[model.layers.index(model.get_layer("flat")) :]])
    with tf.GradientTape() as third:
        third.watch(maps)
        chosen = tf.reduce_max(head(maps, training=False), axis=-1)
    weights = tf.reduce_mean(third.gradient(chosen, maps), axis=(1, 2), keepdims=True)
    assert relative_error(module.grad_cam(images), tf.nn.relu(tf.reduce_sum(maps * weights, -1))) <= 1e-4
    cells = module.integrated_gradients(images, steps=256)
    index = module.predict(images).argmax(axis=-1)
    difference = module.predict(images) - module.predict(np.zeros_like(images))
    np.testing.assert_allclose(cells.sum(axis=(1, 2, 3)), difference[np.arange(5), index], atol=5e-3)


def test_verify_names_what_is_wrong(run: Run) -> None:
    model = DIGITS / "digits.h5"
    run("export", model, "-o", "net.py", "--gradients", "--no-verify")
    out, _ = run("verify", model, "net.py", "--gradients")
    assert "ok d_image" in out
    text = Path("net.py").read_bytes()
    line = b'd = relu_backward(d, saved.pop("corners_relu"))'
    assert text.count(line) == 1
    Path("net.py").write_bytes(text.replace(line, line + b" * np.float32(1.01)"))
    out, _ = run("verify", model, "net.py", "--gradients", code=1)
    assert "the backward pass is wrong from d_corners_norm/" in out
    assert "DIFFERS d_corners/kernel" in out
    assert "ok d_shapes/kernel" in out
    run("verify", model, "net.py")  # the answers are right


WRONG_OPTIONS = {
    ("--trainable", "nothing*"): "'nothing*' fits no weight that can be trained; the last layers with some: ",
    ("--loss", "mse"): "the loss is one of mean_squared_error, ",
    ("--loss", "mean_squared_error"): "a step of training takes both a loss and an optimizer",
    ("--loss", "mean_squared_error", "--optimizer", "lion"): "the optimizer is one of sgd, adam, rmsprop, not 'lion'",
    (
        "--loss",
        "mean_squared_error",
        "--optimizer",
        "sgd(rho=1)",
    ): "sgd takes learning_rate, momentum, nesterov, as in ",
    ("--loss", "mean_squared_error", "--optimizer", "sgd", "--from-logits"): "belongs to a loss that is a crossentropy",
    (
        "--loss",
        "mean_squared_error",
        "--optimizer",
        "sgd(momentum=0.9.1)",
    ): "sgd takes learning_rate, momentum, nesterov",
    ("--explain", "shap"): "saliency, integrated_gradients, grad_cam=LAYER, not 'shap'",
    ("--explain", "grad_cam=nowhere"): "no layer is called 'nowhere'; the last ones: ",
    ("--gradients", "--activations"): "a module has either",
    ("--explain", "saliency", "--no-input-gradients"): "what can be explained has one input, of floats, and one output",
}


@pytest.mark.parametrize("options", WRONG_OPTIONS, ids=" ".join)
def test_wrong_options(options: tuple[str, ...], run: Run) -> None:
    message = run.fails(2, "export", DIGITS / "digits.h5", "-o", "net.py", "--no-verify", *options)
    assert WRONG_OPTIONS[options] in message


def test_a_kernel_without_a_derivative(run: Run) -> None:
    x = keras.Input((8,), name="x")
    y = keras.ops.corrcoef(L.Dense(3, name="before")(x))
    path = save(keras.Model(x, y, name="m"), Path("m.keras"))
    message = run.fails(4, "export", path, "-o", "net.py", "--no-verify", "--gradients")
    assert "m.keras: no gradient goes through corrcoef" in message
    run("export", path, "-o", "net.py", "--no-verify")


def test_the_module_is_checked(run: Run) -> None:
    """`--check` takes the same options."""
    options = ("--trainable", "digit", "--loss", "sparse_categorical_crossentropy", "--optimizer", "adam")
    run("export", DIGITS / "digits.h5", "-o", "net.py", "--no-verify", *options)
    run("export", DIGITS / "digits.h5", "-o", "net.py", "--check", *options)
    _, err = run("export", DIGITS / "digits.h5", "-o", "net.py", "--check", *options[:-1], "sgd", code=1)
    assert "net.py" in err


def test_peak_memory(digits: Any, tmp_path: Path) -> None:
    """What `inspect` states bounds what a step takes, but for a fifth."""
    options = GradientOptions(inputs=False)
    cost = kerasgen.inspect(DIGITS / "digits.h5", gradients=options).gradients
    assert cost is not None
    assert cost.peak_bytes is not None
    module = exported(DIGITS / "digits.h5", tmp_path, inputs=False)
    batch = np.concatenate([digits[0]] * 3)

    def step() -> None:
        outputs, saved = module.forward(batch)
        module.backward(saved, np.ones_like(outputs))

    step()
    tracemalloc.start()
    step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    bound = cost.peak_bytes * len(batch) + cost.weight_bytes + cost.block_bytes
    assert 0.3 * bound < peak <= 1.2 * bound


def test_inspect(run: Run) -> None:
    out, _ = run("inspect", DIGITS / "digits.h5", "--trainable", "shapes", "--trainable", "digit")
    assert "420,480 MACs for one sample; 3,624 bytes saved" in out.replace("\n", " ")
    assert "a step of training" not in run("inspect", DIGITS / "digits.h5")[0]
