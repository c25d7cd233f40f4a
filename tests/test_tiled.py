"""`predict_tiled`: the answer to an image part by part is that to the whole image."""

from __future__ import annotations

import random
import re
import tracemalloc
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
from command import Run
from keras import layers
from pairs import Pair
from support import randomize, relative_error, run_python, save

import kerasgen
from kerasgen import kernels
from kerasgen.emit.load import load_module
from kerasgen.graph.facts import facts
from kerasgen.graph.receptive_field import ReceptiveField, receptive_field

LIMIT = 1e-5  # of the largest output
RANDOM = np.random.RandomState(0)


def tiled(model: Any, **options: Any) -> ModuleType:
    return kerasgen.load(model, tiled=True, verify=False, **options)


def image(*sizes: int, samples: int = 1, channels: int = 3) -> np.ndarray:
    return RANDOM.uniform(-1, 1, (samples, *sizes, channels)).astype("float32")


def assert_same(module: ModuleType, x: np.ndarray, whole: np.ndarray, *tiles: Any) -> None:
    assert whole.size
    for tile in tiles:
        assert relative_error(module.predict_tiled(x, tile), whole) < LIMIT, tile


def unet(size: int | None) -> Any:
    x = inputs = keras.Input((size, size, 3), name="image")
    skips = []
    for filters in (4, 8):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(x))
    x = layers.Concatenate()([layers.Conv2DTranspose(8, 3, strides=2, padding="same")(x), skips[1]])
    x = layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(x), skips[0]])
    return randomize(keras.Model(inputs, layers.Conv2D(2, 3, padding="same", activation="softmax", name="mask")(x)))


@pytest.fixture(scope="module")
def unets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The file of a U-Net for images of 32 x 32, and its module, verified."""
    folder = tmp_path_factory.mktemp("unet")
    path = save(unet(32), folder / "unet.keras")
    kerasgen.export(path, folder / "unet.py", tiled=True, verify=True)
    return path, folder / "unet.py"


@pytest.fixture(scope="module")
def module(unets: tuple[Path, Path]) -> ModuleType:
    return load_module(unets[1])


def test_unet(module: ModuleType) -> None:
    x = image(92, 60, samples=2)
    whole = np.asarray(unet(None)(x))
    assert_same(module, x, whole, 4, 7, (32, 16), (16, 1000), 60, 512)
    assert relative_error(module.predict(x), whole) < LIMIT


def test_several_levels(unets: tuple[Path, Path], module: ModuleType) -> None:
    x = image(60, 44)
    for level in (0, 1):
        assert_same(tiled(unets[0], optimize=level), x, module.predict(x), 16)


def random_net(seed: int, rank: int) -> Any:
    """A fully convolutional model of a few random layers with windows, for any size."""
    choose = random.Random(seed)

    def layer(name: str, end: str = "") -> Any:
        return getattr(layers, f"{name}{rank}D{end}")

    def sizes(*choices: int) -> tuple[int, ...]:
        return tuple(choose.choice(choices) for _ in range(rank))

    def border() -> Any:
        pairs = tuple((choose.randint(0, 2), choose.randint(0, 2)) for _ in range(rank))
        return pairs[0] if rank == 1 else pairs

    def window() -> Any:
        padding, stride = choose.choice(("same", "valid")), choose.choice((1, 1, 2, 3))
        kinds = [
            lambda: layer("Conv")(3, sizes(1, 2, 3, 5), strides=sizes(1, 2, 3), padding=padding, activation="relu"),
            lambda: layer("Conv")(3, sizes(2, 3), dilation_rate=choose.choice((2, 3)), padding=padding),
            lambda: layer("MaxPooling")(sizes(2, 3), strides=stride, padding=padding),
            lambda: layer("AveragePooling")(sizes(2, 3), strides=stride, padding=padding),
            lambda: layer("Conv", "Transpose")(3, sizes(1, 2, 3, 4), strides=sizes(1, 2, 3), padding=padding),
            lambda: layer("UpSampling")(choose.choice((2, 3))),
            lambda: layer("ZeroPadding")(border()),
            lambda: layer("Cropping")(border()),
        ]
        if rank < 3:
            kinds.append(lambda: layer("SeparableConv")(3, 3, strides=choose.choice((1, 2)), padding=padding))
            kinds.append(lambda: layer("DepthwiseConv")(choose.choice((2, 3)), strides=stride, padding=padding))
        if rank == 2:
            filters = choose.choice(("bilinear", "bicubic", "lanczos3"))
            kinds.append(lambda: layers.UpSampling2D(choose.choice((2, 4)), interpolation=filters))
        return choose.choice(kinds)()

    x = inputs = keras.Input((None,) * rank + (2,))
    for _ in range(choose.randint(3, 5)):
        x = window()(x)
        if choose.random() < 0.3:
            x = layers.Add()([x, layer("Conv")(x.shape[-1], 3, padding="same", activation="tanh")(x)])
    return randomize(keras.Model(inputs, layers.LayerNormalization()(layer("Conv")(4, 1)(x))), seed)


@pytest.mark.parametrize("seed", range(6))
def test_random_nets(seed: int) -> None:
    rank = (2, 1, 2, 3, 2, 2)[seed]
    model = random_net(seed, rank)
    module = tiled(model, optimize=seed % 3)
    for sizes in ((41, 46, 31), (38, 37, 24)):
        x = image(*sizes[:rank], channels=2)
        assert_same(module, x, np.asarray(model(x)), 5, (13, 8, 30)[:rank], 500)


@pytest.mark.parametrize("seed", range(100, 140))
@pytest.mark.thorough
def test_more_random_nets(seed: int) -> None:
    rank = random.Random(seed).choice((1, 2, 2, 3))
    module = tiled(random_net(seed, rank), optimize=seed % 3)
    for sizes in ((61, 46, 31), (58, 57, 24)):
        x = image(*sizes[:rank], channels=2)
        assert_same(module, x, module.predict(x), 5, (13, 8, 30)[:rank], 500)


def test_channels_first() -> None:
    inputs = keras.Input((3, 24, 20))
    settings = {"padding": "same", "data_format": "channels_first"}
    x = layers.Conv2D(4, 3, strides=2, **settings)(inputs)
    x = layers.BatchNormalization(axis=1)(x)
    x = layers.UpSampling2D(2, data_format="channels_first")(x)
    model = randomize(keras.Model(inputs, layers.PReLU(shared_axes=(2, 3))(x)))
    module = tiled(model)
    assert module.TILES["axes"] == (2, 3)
    x = image(3, 50, channels=41)
    assert_same(module, x, module.predict(x), 8, (6, 30))


def test_several_outputs() -> None:
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="half")(inputs)
    model = randomize(
        keras.Model(inputs, {"half": x, "whole": layers.Conv2DTranspose(1, 2, strides=2, name="whole")(x)})
    )
    module, x = tiled(model), image(30, 27)
    whole = model(x)
    outs = {name: np.zeros(y.shape, "float32") for name, y in whole.items()}
    for got in (module.predict_tiled(x, 8), module.predict_tiled(x, 8, out=outs)):
        assert list(got) == list(module.predict(x))
        assert all(relative_error(got[name], whole[name]) < LIMIT for name in whole)
    assert got["half"] is outs["half"]


def test_winograd_tiles_lie_as_in_the_whole_image() -> None:
    """So sums are rounded alike."""
    inputs = keras.Input((64, 64, 3))
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(inputs)
    for window in (3, 3, 5):
        x = layers.Conv2D(32, window, activation="relu")(x)
    module = tiled(randomize(keras.Model(inputs, x)))
    assert module.TILES["step"] == (8, 8)
    x = image(150, 131)
    whole = module.predict(x)
    assert all(relative_error(module.predict_tiled(x, tile), whole) < 1e-6 for tile in (24, 40, (64, 30)))


def test_progress(module: ModuleType) -> None:
    calls: list[tuple[int, int]] = []
    module.predict_tiled(image(60, 40, samples=2), 20, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 12) for i in range(1, 13)]


def test_memmap(module: ModuleType, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", image(64, 48))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    out = np.lib.format.open_memmap(tmp_path / "y.npy", mode="w+", dtype="float32", shape=(1, 64, 48, 2))
    module.predict_tiled(x, 32, out=out)
    out.flush()
    assert relative_error(np.load(tmp_path / "y.npy"), module.predict(x)) < LIMIT


def test_memory(unets: tuple[Path, Path]) -> None:
    """A large image takes no more than a tile with what is around it, beside input and output."""

    def peak(size: int, tile: int) -> int:
        module = load_module(unets[1])  # whose buffers are none yet
        x, out = image(size, size), np.empty((1, size, size, 2), "float32")
        tracemalloc.start()
        module.predict_tiled(x[:, :4, :4], out=out[:, :4, :4])  # allocates what all calls share
        tracemalloc.reset_peak()
        module.predict_tiled(x, tile, out=out)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    tiles = load_module(unets[1]).TILES
    alone = 128 + sum(-(-tiles[side][0] // 4) * 4 for side in ("before", "after"))
    assert peak(512, 128) < 1.5 * peak(alone, alone)


def test_wrong_arguments(module: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"'image' takes the shape \(None, None, None, 3\)"):
        module.predict_tiled(np.zeros((1, 32, 32, 4), "float32"))
    with pytest.raises(ValueError, match=r"takes the shape"):
        module.predict_tiled(np.zeros((32, 3), "float32"))
    with pytest.raises(ValueError, match=r"out must have the shape \(1, 32, 32, 2\), not \(1, 32, 32, 1\)"):
        module.predict_tiled(image(32, 32), out=np.zeros((1, 32, 32, 1), "float32"))


def test_selftest(unets: tuple[Path, Path], tmp_path: Path) -> None:
    done = run_python(unets[1], "--selftest")
    assert (done.returncode, done.stdout.count("ok in tiles")) == (0, 2), done.stderr
    (tmp_path / "wrong.py").write_text(re.sub(r'"before": .*', '"before": (0, 0),', unets[1].read_text()))
    done = run_python(tmp_path / "wrong.py", "--selftest")
    assert done.returncode == 1
    assert "WRONG in tiles" in done.stdout


def test_verify(unets: tuple[Path, Path], tmp_path: Path) -> None:
    reports = kerasgen.verify(*unets).outputs
    assert [report.name for report in reports] == ["mask", "predict_tiled", "predict_tiled"]
    (tmp_path / "wrong.py").write_text(re.sub(r'"after": .(\d+).*', r'"after": (\1, 0),', unets[1].read_text()))
    wrong = kerasgen.verify(unets[0], tmp_path / "wrong.py")
    assert [report.ok for report in wrong.outputs] == [True, True, False]


def test_check(unets: tuple[Path, Path]) -> None:
    assert not kerasgen.check(*unets, tiled=True)
    assert kerasgen.check(*unets)
    assert load_module(unets[1]).EXPORT["tiled"] is True


@pytest.mark.thorough
def test_typed(unets: tuple[Path, Path]) -> None:
    settings = ("--strict", "--no-incremental", "--config-file=")
    done = run_python("-m", "mypy", *settings, unets[1].name, cwd=unets[1].parent)
    assert done.returncode == 0, done.stdout


def test_oldest_numpy(unets: tuple[Path, Path], module: ModuleType, pairs: list[Pair], tmp_path: Path) -> None:
    x = image(92, 60)
    np.save(tmp_path / "x.npy", x)
    program = "import numpy as np, unet; np.save('y.npy', unet.predict_tiled(np.load('x.npy', mmap_mode='r'), 16))"
    (tmp_path / "unet.py").write_text(unets[1].read_text())
    (tmp_path / "program.py").write_text(f"import os; os.chdir({str(tmp_path)!r})\n{program}\n")
    for pair in pairs:
        done = pair.run(tmp_path / "program.py")
        assert done.returncode == 0, done.stderr
        assert relative_error(np.load(tmp_path / "y.npy"), module.predict(x)) < LIMIT


@pytest.mark.parametrize("options", [{"activations": True}, {"weights_dtype": "int8"}, {"rename": {"image": "photo"}}])
def test_with_other_options(unets: tuple[Path, Path], options: dict[str, Any]) -> None:
    module, x = tiled(unets[0], **options), image(48, 36)
    assert_same(module, x, module.predict(x), 16)


def test_without_numpy(unets: tuple[Path, Path]) -> None:
    with pytest.raises(kerasgen.UsageError, match="a module without NumPy has no `tiled`"):
        tiled(unets[0], target="pure")


WINDOW = np.arange(1.0, 5.0).reshape(4, 1, 1)
READING: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    *((kernels.conv1d, (WINDOW[:k],), {"strides": (s,), "pad": "same"}) for k in (1, 3, 4) for s in (1, 2, 3)),
    (kernels.conv1d, (WINDOW[:3],), {"strides": (2,), "dilation": (2,), "pad": ((3, 1),)}),
    (kernels.conv1d_transpose, (WINDOW[:3],), {"strides": (2,), "crop": ((0, 1),)}),
    (kernels.conv1d_transpose, (WINDOW[:2],), {"strides": (3,), "crop": ((0, -1),)}),
    (kernels.conv1d_transpose, (WINDOW,), {"strides": (1,), "dilation": (2,)}),
    (kernels.average_pool, (), {"size": (3,), "strides": (2,), "pad": "same"}),
    (kernels.max_pool, (), {"size": (2,), "strides": (3,)}),
    (kernels.pad, (), {"pads": ((2, 1),)}),
    (kernels.crop, (), {"crops": ((2, 1),)}),
    (kernels.upsample_nearest, (), {"size": (3,)}),
    (kernels.upsample, (), {"size": (4, 1), "interpolation": "bilinear"}),
    (kernels.upsample, (), {"size": (2, 1), "interpolation": "lanczos3"}),
    (kernels.upsample, (), {"size": (2, 1), "interpolation": "bilinear", "half_pixel_centers": False}),
    (kernels.space_to_depth, (), {"block_size": 2}),
]


@pytest.mark.parametrize(("kernel", "weights", "attrs"), READING, ids=lambda part: getattr(part, "__name__", ""))
def test_what_a_kernel_reads(kernel: Any, weights: tuple[Any, ...], attrs: dict[str, Any]) -> None:
    """A cell of the operand changes no cells of the result but those that read it, by the rule."""
    rank = 2 if kernel in (kernels.upsample, kernels.space_to_depth) else 1
    rule = facts(kernel).reads
    assert rule is not None
    for size in (12, 13, 14) if rank == 1 else (12, 14):
        x = RANDOM.uniform(1, 2, (1, size, 2, 1)[: rank + 1] + (1,))
        step, before, after, _ = rule(x.shape, *(w.shape for w in weights), **attrs)[0]
        whole = kernel(x, *weights, **attrs)
        for cell in range(size):
            changed = x.copy()
            changed[:, cell] += 5
            rows = np.abs(kernel(changed, *weights, **attrs) - whole).reshape(whole.shape[1], -1).max(axis=1) > 1e-9
            assert all(i * step - before <= cell <= i * step + after for i in np.flatnonzero(rows).tolist())


def field(model: Any) -> ReceptiveField:
    found = receptive_field(kerasgen.builder.build(kerasgen.readers.read(model), any_size=True).bind())
    assert isinstance(found, ReceptiveField)
    return found


def test_receptive_field() -> None:
    inputs = keras.Input((64, 64, 1))
    x = layers.Conv2D(1, 3)(inputs)  # 0 before, 2 after
    x = layers.Conv2D(1, (5, 3), strides=2, padding="same")(x)  # 2 or 1 before, counted in cells of the input
    found = field(keras.Model(inputs, layers.Conv2D(1, 3, dilation_rate=2, padding="same")(x)))
    assert (found.axes, found.step, found.outputs) == ((1, 2), (2, 2), (((1, 2), (2, 2)),))
    assert found.before == (2 + 4, 1 + 1 + 4)
    assert found.after == (2 + 3 + 4, 2 + 2 + 4)


REFUSED = {
    "Dense": lambda x: layers.Dense(2)(layers.Flatten(name="bad")(x)),
    "pooling": lambda x: layers.GlobalAveragePooling2D(name="bad")(x),
    "squeeze": lambda x: layers.Multiply()([x, layers.GlobalMaxPooling2D(keepdims=True, name="bad")(x)]),
    "attention": lambda x: layers.Attention()([layers.Reshape((-1, 3), name="bad")(x)] * 2),
    "groups": lambda x: layers.GroupNormalization(3, name="bad")(x),
    "size": lambda x: layers.Resizing(8, 8, name="bad")(x),
    "factor": lambda x: layers.UpSampling2D(3, interpolation="bilinear", name="bad")(x),
    "softmax": lambda x: layers.Softmax(axis=1, name="bad")(x),
    "position": lambda x: layers.PReLU(name="bad")(x),
    "norm": lambda x: layers.LayerNormalization(axis=(1, 2, 3), name="bad")(x),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, REFUSED[name](layers.Conv2D(3, 3, padding="same", name="conv")(inputs)))
    with pytest.raises(kerasgen.UnsupportedModelError, match="bad"):
        tiled(model)


def test_refused_inputs() -> None:
    with pytest.raises(kerasgen.UnsupportedModelError, match="no spatial axes"):
        tiled(keras.Sequential([keras.Input((4,)), layers.Dense(2)]))
    two = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    with pytest.raises(kerasgen.UnsupportedModelError, match="several inputs"):
        tiled(keras.Model(two, layers.Add()(two)))


def test_advice(run: Run) -> None:
    """On the command line, with the layer to end at; the module then is that of the layers before."""
    line = run.fails(4, "export", run.files / "small.keras", "--tiled")
    assert "cannot be computed in tiles: 'flat' (Flatten): it needs the whole image" in line
    assert "to end before it: --outputs norm" in line
    run("export", run.files / "small.keras", "--tiled", "--outputs", "norm", "--no-verify", "-o", "norm.py")
    assert load_module(run.folder / "norm.py").predict_tiled(np.zeros((1, 40, 30, 1), "float32"), 8).shape == (
        *(1, 38, 28, 2),
    )
