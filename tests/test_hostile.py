"""Every fault of the tables in `hostile`: the exit code, the one line, nothing written, and no traceback."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from command import Run
from hostile import configs, containers, hdf5, weights
from hostile.fault import Fault, X

from kerasgen import cli
from kerasgen.builder import builder
from kerasgen.emit.load import load_module
from kerasgen.hdf5 import process
from kerasgen.verification.compare import flat

FAULTS = [*containers.FAULTS, *hdf5.FAULTS, *configs.FAULTS, *weights.FAULTS]
IDS = [f"{fault.number} {fault.what}" for fault in FAULTS]
UNVERIFIED = "not verified: skipped on request\n"


def test_every_number_has_a_row() -> None:
    """Those from 40 to 49 are in no file: see test_surroundings.py."""
    assert {fault.number for fault in FAULTS} == {*range(1, 40), 50, 51}
    assert len(set(IDS)) == len(IDS)


@pytest.mark.parametrize("fault", FAULTS, ids=IDS)
def test_fault(fault: Fault, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SECONDS", 2)
    monkeypatch.setattr(builder, "MOST_CALLS", 1000)
    arguments = fault.make(run.folder)
    export = ["export", *arguments, "-o", "net.py", "--no-verify"]
    if fault.code == 0:
        out, err = run(*export)
        assert (out, err) == ("net.py\n", f"{fault.says}\n{UNVERIFIED}" if fault.says else UNVERIFIED)
        with np.errstate(invalid="ignore"):
            for got in flat(load_module(Path("net.py")).predict(X)):
                np.testing.assert_allclose(got, fault.answer, rtol=1e-6)
        return
    line = run.fails(fault.code, *export)
    assert re.fullmatch(f"kerasgen: {arguments[0]}: {fault.says}\n", line), line
    with pytest.raises(SystemExit) as exit:
        cli.main(["inspect", *(word for word in arguments if word != "--strict")])
    _, said = run.capsys.readouterr()
    # It reads no weights, and what is unsupported is a result.
    assert (exit.value.code, said) in ([(0, ""), (fault.code, line)] if fault.code != 4 else [(4, ""), (4, line)])
