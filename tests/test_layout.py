"""The project's own files stay small enough to be read in one go."""

from support import ROOT


def test_lengths() -> None:
    files = [path for folder in ("kerasgen", "tests") for path in (ROOT / folder).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert len(lengths) > 100
    assert {name: length for name, length in lengths.items() if length > 600 and "golden" not in name} == {}
