"""Writes a verification as a JUnit file for CI systems."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from kerasgen.names import printable
from kerasgen.verification.verify import Verification


def junit(module: Path, verified: Verification | str) -> bytes:
    """The XML: one test for each output, and one for a wrong layer that no output shows; or one that could not run."""
    suite = ET.Element("testsuite", name="kerasgen verify")

    def case(name: str) -> ET.Element:
        return ET.SubElement(suite, "testcase", classname=printable(module.stem), name=name)

    if isinstance(verified, str):
        ET.SubElement(case("verify"), "error", message=printable(verified))
    else:
        why = str(verified.divergence or "")
        for report in verified.outputs:
            given = f" of {report.given}" if report.given else ""
            test = case(printable(report.name) + given)
            if not report.ok:
                ET.SubElement(test, "failure", message=report.measure).text = why
        if why and all(report.ok for report in verified.outputs):
            ET.SubElement(case("layers"), "failure", message=why).text = why
    return finished(suite)


def finished(suite: ET.Element) -> bytes:
    """The XML of a suite, with the numbers of tests, failures and errors filled in."""
    for kind in ("testcase", "failure", "error"):
        name = {"testcase": "tests", "failure": "failures", "error": "errors"}[kind]
        suite.set(name, str(sum(1 for _ in suite.iter(kind))))
    ET.indent(suite)
    xml: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return xml + b"\n"
