"""Writes the model files of this folder: `python write.py NAME...` with the packages whose layers they show.

Each model is saved with random weights, and beside it what the package's own layers answer to random inputs. README.md
lists which versions wrote which files. A name that ends with `-2` is written by tf_keras: TF_USE_LEGACY_KERAS=1.
"""

import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

if os.environ.get("TF_USE_LEGACY_KERAS"):
    import tf_keras as keras
else:
    import keras
L = keras.layers
BOTH = ("tcn-2", "keras_hub", "addons-2")  # whose weights lie otherwise in legacy files
STEPS, IMAGE = (12, 3), (6, 5, 4)


def tcn():
    from tcn import TCN

    x = keras.Input(STEPS)
    y = TCN(4, 2, 2, [1, 2], use_batch_norm=True, return_sequences=True, name="one")(x)
    y = TCN([4, 5], 3, 1, [1, 2], padding="same", use_skip_connections=False, return_sequences=True, name="two")(y)
    return keras.Model(x, [TCN(5, 3, 1, [1, 4], activation="tanh", go_backwards=True, name="three")(y), y])


def tcn_layer_norm():
    from tcn import TCN

    x = keras.Input(STEPS)
    return keras.Model(x, TCN(4, 2, 1, [1, 2, 4], padding="same", use_layer_norm=True)(x))


def residual_block():
    from tcn.tcn import ResidualBlock

    x = keras.Input(STEPS)
    y, skip = ResidualBlock(2, 4, 3, "causal", use_layer_norm=True, name="block")(x)
    return keras.Model(x, [*ResidualBlock(1, 4, 2, "same", "tanh", name="tanh")(y), skip])


def self_attention():
    from keras_self_attention import ScaledDotProductAttention, SeqSelfAttention

    x = keras.Input(STEPS)
    y = SeqSelfAttention(5, attention_activation="sigmoid", name="additive")(x)
    y = SeqSelfAttention(attention_type="multiplicative", attention_width=4, use_attention_bias=False, name="near")(y)
    y = SeqSelfAttention(4, history_only=True, use_additive_bias=False, name="before")(y)
    y, weights = ScaledDotProductAttention(history_only=True, return_attention=True, name="history")(y)
    z = ScaledDotProductAttention(name="three")([x, y, L.Dense(2, name="values")(y)])
    return keras.Model(x, [y, weights, z])


def self_attention_masked():
    from keras_self_attention import ScaledDotProductAttention, SeqSelfAttention

    x = keras.Input((7,), dtype="int32")
    y = SeqSelfAttention(5, name="learned")(L.Embedding(4, 6, mask_zero=True)(x))
    return keras.Model(x, ScaledDotProductAttention(name="scaled")(y))


def keras_hub():
    from keras_hub import layers as H

    target, source = keras.Input((5,), dtype="int32"), keras.Input((7,), dtype="int32")
    x = H.TokenAndPositionEmbedding(6, 9, 8, mask_zero=True, name="source")(source)
    x = H.TransformerEncoder(16, 2, name="after")(x)
    x = H.TransformerEncoder(12, 4, activation="gelu", normalize_first=True, layer_norm_epsilon=1e-3, name="first")(x)
    y = H.TokenAndPositionEmbedding(6, 5, 8, mask_zero=True, name="target")(target)
    y = H.TransformerDecoder(16, 2, name="cross")(y, x)
    y = H.TransformerDecoder(12, 2, normalize_first=True, activation="gelu", name="own")(y)
    return keras.Model([target, source], [x, y])


def keras_hub_positions():
    from keras_hub import layers as H

    x = keras.Input(STEPS[:1] + (8,))
    heads = keras.Input((6, 2, 4))
    y = H.RotaryEmbedding(name="rotary")(x + H.SinePositionEncoding(name="sines")(x))
    y = H.CachedMultiHeadAttention(2, 4, name="cached")(y, y)
    z = H.RotaryEmbedding(max_wavelength=100, scaling_factor=2.0, name="heads")(heads)
    last = H.RotaryEmbedding(sequence_axis=-1, feature_axis=1, name="turned")(heads)
    return keras.Model([x, heads], [y, z, last])


def addons():
    import tensorflow_addons as tfa

    x = keras.Input(IMAGE)
    y = tfa.layers.InstanceNormalization(name="instance")(x)
    y = tfa.layers.GroupNormalization(2, name="groups")(y)
    z = tfa.layers.WeightNormalization(L.Conv2D(4, 3, padding="same", activation="relu"), name="weight")(y)
    y = tfa.layers.StochasticDepth(0.6, name="depth")([y, z])
    y = tfa.layers.GELU(name="gelu")(y)
    y = tfa.layers.WeightNormalization(L.Dense(3), data_init=False, name="dense")(y)
    names = "gelu hardshrink lisht mish rrelu snake softshrink sparsemax tanhshrink".split()
    return keras.Model(x, [y, *(L.Activation(getattr(tfa.activations, name), name=f"by_{name}")(y) for name in names)])


def efficientnet():
    from efficientnet.model import get_dropout, get_swish

    parts = {"backend": keras.backend, "layers": L, "models": keras.models, "utils": keras.utils}
    x = keras.Input(IMAGE)
    dropout = get_dropout(**parts)(0.3, noise_shape=(None, 1, 1, 1), name="dropped")
    return keras.Model(x, dropout(L.Activation(get_swish(**parts))(L.Conv2D(3, 3)(x))))


def random_weights(model):
    random = np.random.RandomState(0)
    for variable in model.weights:
        name, shape = getattr(variable, "path", variable.name), tuple(variable.shape)
        if "bool" in str(variable.dtype) or "int" in str(variable.dtype):
            continue
        low = 0.5 if "variance" in name or "gamma" in name else -0.5
        variable.assign(random.uniform(low, low + 1, shape).astype("float32"))


def write(name):
    model = globals()[name.removesuffix("-2")]()
    random = np.random.RandomState(1)
    inputs = [
        (
            random.randint(0, 4, (3, *x.shape[1:])).astype("int32")
            if "int" in str(getattr(x.dtype, "name", x.dtype))
            else random.uniform(-2, 2, (3, *x.shape[1:])).astype("float32")
        )
        for x in model.inputs
    ]
    model(inputs, training=False)  # some layers finish their weights in the first call
    random_weights(model)
    outputs = model(inputs, training=False)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    arrays = {f"x{i}": x for i, x in enumerate(inputs)} | {f"y{i}": np.asarray(y) for i, y in enumerate(outputs)}
    folder = Path(__file__).parent
    for ending in ("keras", "h5") if name in BOTH else ("h5",) if name.endswith("-2") else ("keras",):
        try:
            model.save(folder / f"{name}.{ending}")
        except Exception as error:
            print(f"{name}.{ending}: {str(error)[:100]}", file=sys.stderr)
            (folder / f"{name}.{ending}").unlink(missing_ok=True)
    np.savez_compressed(folder / f"{name}.npz", **arrays)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name in sys.argv[1:]:
        write(name)
