"""Vocabularies: read from the archive's assets, refused where they are missing or damaged."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras

import kerasgen
from kerasgen.builder import build
from kerasgen.readers import read

ASSET = "assets/layers/integer_lookup/vocabulary.txt"


def adapted(library: Any, **settings: Any) -> Any:
    layer = library.layers.IntegerLookup(**settings)
    layer.adapt(np.array([[7, 2, 9], [4, -2, 9]]))
    numbers = library.Input((5,), dtype="int64")
    return library.Model(numbers, layer(numbers))


@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras3", "keras2"])
@pytest.mark.parametrize("mode", ["int", "count", "tf_idf"])
def test_a_vocabulary_is_an_asset(library: Any, mode: str, tmp_path: Path) -> None:
    model = adapted(library, output_mode=mode)
    model.save(tmp_path / "model.keras")
    x = np.random.RandomState(7).randint(-3, 12, (3, 5))
    (result,) = build(read(tmp_path / "model.keras")).bind().run(x)
    np.testing.assert_allclose(result, np.asarray(model(x)), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("ending", ["h5", "weights.h5"])
def test_a_file_without_assets_is_refused(ending: str, tmp_path: Path) -> None:
    model = adapted(keras)
    if ending == "h5":
        model.save(tmp_path / "model.h5")
        file = read(tmp_path / "model.h5")
    else:
        (tmp_path / "model.json").write_text(model.to_json())
        model.save_weights(tmp_path / "model.weights.h5")
        file = read(tmp_path / "model.json", tmp_path / "model.weights.h5")
    with pytest.raises(kerasgen.InvalidModelError, match=r"vocabulary is missing: .* \.keras archive"):
        build(file).bind()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-1\n9\n7\nfour\n2\n-2", "does not hold integers only"),
        (f"-1\n9\n7\n{2**63}\n2\n-2", "does not hold integers only"),
        ("-1\n9\n7\n4\n2", "is 5 long, but the architecture says 6"),
        ("", "is 0 long"),
        (None, "is missing"),
    ],
    ids=["word", "too large", "short", "empty", "absent"],
)
def test_a_damaged_vocabulary_is_refused(text: str | None, message: str, tmp_path: Path) -> None:
    adapted(keras).save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as old, zipfile.ZipFile(tmp_path / "other.keras", "w") as new:
        for name in old.namelist():
            if name != ASSET:
                new.writestr(name, old.read(name))
            elif text is not None:
                new.writestr(name, text)
    with pytest.raises(kerasgen.InvalidModelError, match=message):
        build(read(tmp_path / "other.keras")).bind()


def test_numbers_that_are_not_in_the_vocabulary(tmp_path: Path) -> None:
    numbers = keras.Input((2,), dtype="int64")
    layer = keras.layers.IntegerLookup(vocabulary=[3, 5], num_oov_indices=0)
    keras.Model(numbers, layer(numbers)).save(tmp_path / "model.keras")
    graph = build(read(tmp_path / "model.keras")).bind()
    with pytest.raises(ValueError, match=r"not in the vocabulary: \[4\]"):
        graph.run(np.array([[3, 4]]))
