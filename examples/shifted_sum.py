"""A convolution of width 3, `same`, as a sum of three shifted matrix products.

A kernel of shape (3, channels, filters) is three matrices, one for each neighbour: left, centre, right. Each multiplies
the whole sequence; what is left to do is to add the products that belong to the same place.
"""

import os
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np

import kerasgen

keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((10, 1)), keras.layers.Conv1D(2, 3, padding="same", use_bias=False, name="conv")])
(kernel,) = model.get_weights()
with tempfile.TemporaryDirectory() as folder:
    kerasgen.export(model, f"{folder}/width_three.py", optimize=0, verify=False)
    sys.path.insert(0, folder)
    import width_three

x = np.arange(10, dtype="float32").reshape(1, 10, 1)
expected = model(x).numpy()


def check(what, got, wanted):
    assert np.allclose(got, wanted, atol=1e-5), what
    print(f"equal: {what}")


# One product for each tap: (1, 10, 1) @ (3, 1, 1, 2) -> (3, 1, 10, 2).
y = x @ kernel[:, np.newaxis]
print(f"input {x.shape}, kernel {kernel.shape}, products {y.shape}, output {expected.shape}\n")

# Output t needs the left product of t - 1, the centre product of t and the right product of t + 1.
inside = y[0, :, :-2] + y[1, :, 1:-1] + y[2, :, 2:]
check("rows 1 to 8, where all three neighbours exist", inside, expected[:, 1:-1])

# Beyond the ends lie zeros, so a missing neighbour is a missing term, and the first and the last row have two.
check("row 0, which has no left neighbour", y[1, :, 0] + y[2, :, 1], expected[:, 0])
check("row 9, which has no right neighbour", y[0, :, 8] + y[1, :, 9], expected[:, 9])

total = y[1].copy()
total[:, 1:] += y[0, :, :-1]
total[:, :-1] += y[2, :, 1:]
check("all rows at once, as a sum that starts with the centre", total, expected)

# Without the shifts, the sum is a convolution of width 1, by the sum of the three matrices.
unshifted = y.sum(axis=0)
check("the sum without shifts and a kernel of width 1", unshifted, x @ kernel.sum(axis=0))
assert not np.allclose(unshifted, expected)

# Or one product instead of three: set the three neighbours side by side, (1, 10, 3), and stack the three matrices,
# (3, 2). That is a sliding window written as a matrix, and what `conv1d` in the exported module does for any width.
padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
neighbours = np.concatenate([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], axis=-1)
check("one product of (1, 10, 3) and (3, 2)", neighbours @ kernel.reshape(3, 2), expected)
check("the exported module", width_three.predict(x), expected)

print("\n t      Keras               sum                exported module")
for t, rows in enumerate(zip(expected[0], total[0], width_three.predict(x)[0], strict=True)):
    print(f"{t:2}  " + "  ".join("{:9.4f}{:9.4f}".format(*row) for row in rows))
print(f"\nlargest difference from Keras: {np.abs(width_three.predict(x) - expected).max():.1e}")
