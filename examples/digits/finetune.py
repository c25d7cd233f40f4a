"""Learn where TensorFlow cannot go: fine-tune the last two layers to negatives and to shifted digits, with NumPy alone.

    python finetune.py

The exported module holds the backward pass, the loss and the optimizer; `learn.py` runs it in a process of its own.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import kerasgen

HERE = Path(__file__).resolve().parent


def main():
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder, "digits_numpy.py")
        options = kerasgen.GradientOptions(
            trainable=("shapes*", "digit"),
            inputs=False,
            loss="sparse_categorical_crossentropy",
            optimizer="adam(learning_rate=0.003)",
        )
        kerasgen.export(HERE / "digits.h5", module, verify=False, gradients=options)
        code = module.read_text(encoding="utf-8")
        print(code[code.index("def backward") : code.index("def save_weights")].rstrip(), end="\n\n", flush=True)
        subprocess.run([sys.executable, "-I", HERE / "learn.py", folder], check=True)


if __name__ == "__main__":
    main()
