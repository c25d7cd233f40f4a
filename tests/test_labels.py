"""Modules that prepare images and name classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
from command import Run
from keras import layers as L
from keras.applications.imagenet_utils import preprocess_input
from support import randomize, relative_error

import kerasgen
from kerasgen.batches.journal import key
from kerasgen.emit.labels import read_labels
from kerasgen.emit.load import load_module
from kerasgen.emit.processing import scaling
from kerasgen.jobs import Job
from kerasgen.kernels.classify import top_classes

NAMES = ("cat", "dog", "Haus", "鳥", "a, b")
RANDOM = np.random.RandomState(0)


def classifier(*shape: Any, classes: int = 5, activation: str | None = "softmax", dtype: str = "float32") -> Any:
    image = keras.Input(shape, name="image", dtype=dtype)
    x = L.Flatten()(image) if None not in shape else L.GlobalAveragePooling2D()(image)
    return keras.Model(image, L.Dense(classes, activation=activation, name="probs")(x))


def first() -> Any:
    image = keras.Input((3, 9, 10), name="image")
    x = L.Conv2D(2, 3, data_format="channels_first")(image)
    return keras.Model(image, L.Dense(5, activation="softmax", name="probs")(L.Flatten()(x)))


def two_heads() -> Any:
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    y = L.Concatenate()([left, right])
    heads = {"kind": L.Dense(5, activation="softmax")(y), "size": L.Dense(2)(y)}
    return keras.Model([left, right], heads)


MODELS: dict[str, Callable[[], Any]] = {
    "rgb": lambda: classifier(8, 10, 3),
    "grey": lambda: classifier(8, 10, 1),
    "flat": lambda: classifier(8, 10),
    "alpha": lambda: classifier(8, 10, 4),
    "first": first,
    "open": lambda: classifier(None, None, 3),
    "bytes": lambda: keras.Sequential([keras.Input((4, 4, 3), dtype="uint8", name="image"), L.Rescaling(0.5)]),
    "binary": lambda: classifier(6, classes=1, activation="sigmoid"),
    "logit": lambda: classifier(6, classes=1, activation=None),
    "table": lambda: classifier(6),
    "heads": two_heads,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Saves a model, once."""
    folder = tmp_path_factory.mktemp("models")

    def get(name: str) -> Path:
        path = folder / f"{name}.keras"
        if not path.exists():
            randomize(MODELS[name]()).save(path)
        return path

    return get


@pytest.fixture
def load(models: Callable[[str], Path]) -> Callable[..., ModuleType]:
    return lambda name, **options: kerasgen.load(models(name), verify=False, **options)


# ---------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("labels.txt", "cat\ndog\r\n  Haus \n\n鳥\na, b\n"),
        ("labels", "\ufeffcat\ndog\nHaus\n鳥\na, b"),
        ("list.json", json.dumps(NAMES)),
        ("index.json", json.dumps({str(i): name for i, name in reversed(list(enumerate(NAMES)))})),
        ("class_indices.JSON", json.dumps({name: i for i, name in enumerate(NAMES)})),
        ("imagenet_class_index.json", json.dumps({str(i): [f"n{i}", name] for i, name in enumerate(NAMES)})),
    ],
)
def test_files_of_labels(file: str, text: str, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(text.encode())
    assert read_labels(tmp_path / file) == read_labels(str(tmp_path / file)) == NAMES


def test_labels_from_python() -> None:
    assert read_labels(list(NAMES)) == read_labels(np.array(NAMES)) == read_labels(iter(NAMES)) == NAMES  # type: ignore[arg-type]
    assert read_labels({name: i for i, name in enumerate(NAMES)}) == NAMES
    assert read_labels({"1": 0, "0": 1}) == ("1", "0")  # digits as names


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("a.txt", "", "has no labels"),
        ("a.json", "[", "not JSON"),
        ("a.json", "[]", "has no labels"),
        ("a.json", "7", "has no labels"),
        ("a.json", '"cat"', "has no labels"),
        ("a.json", '["cat", 7]', "label 1 must be text that can be printed, not 7"),
        ("a.json", '["cat", " "]', "label 1"),
        ("a.json", '["a\\u001b[31m"]', r"label 0 must be text that can be printed, not 'a\x1b[31m'"),
        ("a.json", '["a\\nb"]', "label 0"),
        ("a.json", '["\\ud800"]', "label 0"),
        ("a.json", '{"1": "cat", "2": "dog"}', "has no labels"),
        ("a.json", '{"cat": 0, "dog": 0}', "has no labels"),
        ("a.json", '{"0": ["n0", "cat", "dog"]}', "label 0"),
        ("a.json", "[" * 100_000, "not JSON"),
    ],
)
def test_what_are_no_labels(file: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(kerasgen.UsageError) as raised:
        read_labels(tmp_path / file)
    assert message in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path / file))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(kerasgen.FileError, match="No such file"):
        read_labels(tmp_path / "missing.txt")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(kerasgen.UsageError, match="not UTF-8"):
        read_labels(tmp_path / "latin.txt")


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("table", NAMES[:4], "'probs' has 5 classes, not the 4 of the labels"),
        ("binary", NAMES[:1], "of the second of 2 labels, not 1"),
        ("logit", NAMES[:2], "no probability"),
        ("bytes", NAMES[:3], "(None, 4, 4, 3)"),
        ("heads", NAMES[:2], "'kind' has 5 classes"),
    ],
)
def test_labels_of_another_model(name: str, labels: Any, message: str, load: Callable[..., ModuleType]) -> None:
    with pytest.raises(kerasgen.UsageError) as raised:
        load(name, labels=labels)
    assert message in str(raised.value)
    assert f"{name}.keras" in str(raised.value)


def test_classify(load: Callable[..., ModuleType]) -> None:
    module = load("table", labels=NAMES)
    assert module.LABELS == NAMES
    assert "preprocess" not in vars(module)
    x = RANDOM.standard_normal((4, 6)).astype("float32")
    for scores, best, all_of_them in zip(module.predict(x), module.classify(x, 2), module.classify(x), strict=True):
        expected = sorted(zip(NAMES, map(float, scores), strict=True), key=lambda pair: -pair[1])
        assert all_of_them == expected
        assert best == expected[:2]
    assert module.classify(x[:0]) == []


def test_classify_with_several_inputs_and_outputs(load: Callable[..., ModuleType]) -> None:
    module = load("heads", labels=NAMES)
    left, right = RANDOM.standard_normal((2, 4)), RANDOM.standard_normal((2, 3))
    best = module.classify(right=right, left=left, top=1)
    expected = module.predict(left, right)["kind"]
    assert [pair for ((pair, _),) in best] == [NAMES[i] for i in expected.argmax(axis=1)]


def test_two_labels_for_one_probability(load: Callable[..., ModuleType]) -> None:
    module = load("binary", labels=("no", "yes"))
    x = RANDOM.standard_normal((5, 6)).astype("float32")
    for (p,), best in zip(module.predict(x), module.classify(x), strict=True):
        assert dict(best) == {"yes": float(p), "no": float(1 - p)}
        assert best[0][1] >= 0.5


def test_equal_scores_keep_the_order_of_the_labels() -> None:
    scores = np.array([[1, 3, 2, 3, np.nan]], "float32")
    assert [label for label, _ in top_classes(scores, "abcde")[0]] == list("bdcae")
    assert top_classes(np.array([[0.5]], "float16"), ("no", "yes")) == [[("no", 0.5), ("yes", 0.5)]]


# ---------------------------------------------------------------- images


@pytest.mark.parametrize("mode", ["tf", "torch", "caffe"])
@pytest.mark.parametrize("name", ["rgb", "first", "open"])
def test_as_keras_scales(name: str, mode: str, load: Callable[..., ModuleType]) -> None:
    module = load(name, preprocess=mode)
    assert module.EXPORT["preprocess"] == mode
    shape = module.INPUTS[0][1]
    size = (shape[2:] if name == "first" else shape[1:3]) if name != "open" else (13, 7)
    images = RANDOM.randint(0, 256, (2, 13, 7, 3)).astype("uint8")
    resized = np.array(L.Resizing(*size)(images.astype("float32")))  # of bytes, Keras makes bytes
    expected = preprocess_input(resized, data_format="channels_last", mode=mode)
    if name == "first":
        expected = expected.transpose(0, 3, 1, 2)
    given = images.copy()
    for x in (given, images.astype("float64"), images.astype("int32"), images[..., ::-1][..., ::-1]):
        got = module.preprocess(x)
        assert got.dtype == np.float32
        assert relative_error(got, expected) < 1e-6
        assert module.predict(got).shape == (2, 5)
    np.testing.assert_array_equal(given, images)
    assert relative_error(module.preprocess(images[0]), expected[:1]) < 1e-6
    assert len(module.preprocess(images[:0])) == 0


@pytest.mark.parametrize("mode", ["tf", "torch", "caffe"])
def test_without_resizing_it_is_what_keras_does_to_the_last_bit(mode: str, load: Callable[..., ModuleType]) -> None:
    images = RANDOM.randint(0, 256, (2, 8, 10, 3)).astype("uint8")
    np.testing.assert_array_equal(load("rgb", preprocess=mode).preprocess(images), preprocess_input(images, mode=mode))


def test_channels(load: Callable[..., ModuleType]) -> None:
    rgb, grey, alpha, flat = (load(name, preprocess="tf").preprocess for name in ("rgb", "grey", "alpha", "flat"))
    images = RANDOM.randint(0, 256, (2, 8, 10, 4)).astype("uint8")
    scaled = images / np.float32(127.5) - 1
    brightness = keras.ops.image.rgb_to_grayscale(images[..., :3].astype("float32")) / 127.5 - 1
    assert relative_error(rgb(images), scaled[..., :3]) < 1e-6  # without alpha
    assert relative_error(rgb(images[..., :1]), np.repeat(scaled[..., :1], 3, -1)) < 1e-6
    assert relative_error(rgb(images[..., 2:]), np.repeat(scaled[..., 2:3], 3, -1)) < 1e-6  # grey with alpha
    assert relative_error(alpha(images), scaled) < 1e-6
    assert relative_error(alpha(images[..., :3]), np.concatenate([scaled[..., :3], np.ones((2, 8, 10, 1))], -1)) < 1e-6
    for x in (images, images[..., :3]):
        assert relative_error(grey(x), brightness) < 1e-6
        assert relative_error(flat(x), brightness[..., 0]) < 1e-6
    assert relative_error(grey(images[0, ..., 0]), scaled[:1, ..., :1]) < 1e-6


@pytest.mark.parametrize(
    "wrong", [np.ones((5,)), np.ones((1, 2, 3, 5)), np.ones((1, 1, 8, 8, 3)), np.ones((0, 8, 3)), np.array("cat"), None]
)
def test_what_are_no_images(wrong: Any, load: Callable[..., ModuleType]) -> None:
    with pytest.raises(ValueError, match="images are"):
        load("rgb", preprocess="tf").preprocess(wrong)


@pytest.mark.parametrize(
    ("given", "factor", "summand"),
    [("1/255,0", 1 / 255, 0), ("1/127.5, -1", 1 / 127.5, -1), ((2, 3), 2, 3), ("1,0", 1, 0), ([0.1, -0.5], 0.1, -0.5)],
)
def test_scale_and_offset(given: Any, factor: float, summand: float, load: Callable[..., ModuleType]) -> None:
    module = load("rgb", preprocess=given)
    images = RANDOM.randint(0, 256, (1, 8, 10, 3)).astype("uint8")
    np.testing.assert_array_equal(module.preprocess(images), np.array(L.Rescaling(factor, summand)(images)))
    assert module.EXPORT["preprocess"] == (factor, summand)


@pytest.mark.parametrize("wrong", ["TF", "1", "1,2,3", "a,b", "0,0", "1/0,0", "nan,0", "1,inf", (1,), 7, ("a", "b")])
def test_what_is_no_scaling(wrong: Any) -> None:
    with pytest.raises(kerasgen.UsageError, match="preprocess is tf, torch, caffe or SCALE,OFFSET"):
        scaling(wrong)


@pytest.mark.parametrize(
    ("name", "mode", "message"),
    [
        ("table", "tf", "'image' has the shape (None, 6)"),
        ("bytes", "tf", "uint8"),
        ("heads", "tf", "one input, not 2"),
        ("grey", "caffe", "is for RGB"),
        ("alpha", "torch", "is for RGB"),
    ],
)
def test_models_of_no_images(name: str, mode: str, message: str, load: Callable[..., ModuleType]) -> None:
    with pytest.raises(kerasgen.UsageError) as raised:
        load(name, preprocess=mode)
    assert message in str(raised.value)


# ---------------------------------------------------------------- the command line of kerasgen


def test_the_command_line(run: Run, models: Callable[[str], Path]) -> None:
    Path("labels.txt").write_text("\n".join(NAMES))
    options = ("--labels", "labels.txt", "--preprocess", "caffe", "-o", "net.py")
    run("export", models("rgb"), "--no-verify", *options)
    run("export", models("rgb"), "--check", *options)
    assert load_module(Path("net.py")).LABELS == NAMES
    Path("labels.txt").write_text("\n".join(["bird", *NAMES[1:]]))
    assert "the code" in run("export", models("rgb"), "--check", *options, code=1)[1]
    Path("labels.txt").write_text("bird\n")
    assert "'probs' has 5 classes, not the 1 of the labels" in run.fails(2, "export", models("rgb"), *options[:2])
    assert "`" not in run.fails(2, "export", models("grey"), *options[2:4])
    run.fails(2, "export", models("rgb"), "--preprocess", "imagenet")
    run.fails(5, "export", models("rgb"), "--labels", "missing.txt")


def test_in_pyproject(run: Run, models: Callable[[str], Path]) -> None:
    Path("labels.json").write_text(json.dumps(NAMES))
    model = models("rgb")
    Path("pyproject.toml").write_text(f"""
        [tool.kerasgen]
        verify = false
        models = [
            {{model = "{model}", output = "a.py", labels = "labels.json", preprocess = "1/255,0"}},
            {{model = "{model}", output = "b.py", labels = ["a", "b", "c", "d", "e"], preprocess = [2, 1.5]}},
        ]
        """)
    run("export")
    run("export", "--check")
    a, b = load_module(Path("a.py")), load_module(Path("b.py"))
    assert (NAMES, tuple("abcde")) == (a.LABELS, b.LABELS)
    assert (a.EXPORT["preprocess"], b.EXPORT["preprocess"]) == ((1 / 255, 0), (2, 1.5))


def test_a_job_depends_on_what_is_in_the_file(models: Callable[[str], Path], tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb")
    job = Job(str(models("rgb")), str(tmp_path), options={"labels": str(labels)})
    before = key(job, compared=False)
    assert before == key(job, compared=False)
    labels.write_text("a\nc")
    assert before != key(job, compared=False)
