"""From digits.h5 to recognised digits without TensorFlow: export the network, then run it where only NumPy is loaded.

python demo.py
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
        kerasgen.export(HERE / "digits.h5", module, verify=False)  # that would need TensorFlow
        print(f"digits.h5 -> {module.name}, {module.stat().st_size / 1e3:.0f} kB, weights included:\n")
        code = module.read_text(encoding="utf-8")
        print(code[code.index("def predict") : code.index("# Kernels")].rstrip(), end="\n\n", flush=True)
        # A new process, isolated by -I from this folder and the environment. It shares nothing with this one.
        subprocess.run([sys.executable, "-I", HERE / "classify.py", folder], check=True)


if __name__ == "__main__":
    main()
