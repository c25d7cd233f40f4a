"""A verification as a JUnit file, which CI systems show."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from kerasgen.names import printable
from kerasgen.verification.verify import Verification


def junit(module: Path, verified: Verification | str) -> bytes:
    """The XML: a test for each output; or, with the text of an error, one test that could not run."""
    suite = ET.Element("testsuite", name="kerasgen verify")
    reports = () if isinstance(verified, str) else verified.outputs
    for report in reports:
        given = f" of {report.given}" if report.given else ""
        case = ET.SubElement(suite, "testcase", classname=printable(module.stem), name=printable(report.name) + given)
        if not report.ok:
            text = str(verified.divergence) if isinstance(verified, Verification) else ""
            ET.SubElement(case, "failure", message=report.measure).text = text
    if isinstance(verified, str):
        case = ET.SubElement(suite, "testcase", classname=printable(module.stem), name="verify")
        ET.SubElement(case, "error", message=printable(verified))
    for kind in ("testcase", "failure", "error"):
        name = {"testcase": "tests", "failure": "failures", "error": "errors"}[kind]
        suite.set(name, str(sum(1 for _ in suite.iter(kind))))
    ET.indent(suite)
    xml: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return xml + b"\n"
