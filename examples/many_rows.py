"""How do many rows go through a module on several machines? A Dask cluster of two processes, which get one file.

python many_rows.py

The module brings its weights along, so that `upload_file` is all that the workers need beside NumPy.
"""

import tempfile
from pathlib import Path

import dask.array
import numpy as np
from dask.distributed import Client, LocalCluster

import kerasgen

DIGITS = Path(__file__).resolve().parent / "digits"


def classify(images):
    """On a worker: the probabilities of one block of rows, (N, 8, 8, 1) to (N, 10)."""
    import digits

    return digits.predict(images)


def main():
    with np.load(DIGITS / "digits.npz") as data:
        images, labels = (np.concatenate([data[name]] * 20) for name in ("images", "labels"))  # 9000 rows
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=folder) as cluster,
        Client(cluster) as client,
    ):
        exported = kerasgen.export(DIGITS / "digits.h5", Path(folder, "digits.py"), verify=False)
        client.upload_file(str(exported.module))
        rows = dask.array.from_array(images.astype("float32"), chunks=(1500, -1, -1, -1))
        answers = rows.map_blocks(classify, drop_axis=(2, 3), chunks=(rows.chunks[0], 10), dtype="float32")
        print(f"{answers.numblocks[0]} blocks of {answers.chunksize[0]} rows, {len(cluster.workers)} processes")
        probabilities = answers.compute()
        print(f"{probabilities.shape}: accuracy {(probabilities.argmax(axis=-1) == labels).mean():.1%}")
        difference = abs(probabilities - exported.load().predict(images)).max()
        print(f"largest difference from the answers of one process: {difference:.0e}")


if __name__ == "__main__":
    main()
