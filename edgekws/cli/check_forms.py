"""The verdicts of `check` for continuous integration: JUnit XML, GitHub annotations."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

from edgekws.core import figures
from edgekws.core.measurement import Measurement, Verdict
from edgekws.core.output import write_bytes
from edgekws.core.printable import printable

OTHER_JUNIT = "name another --junit"


def for_github(form: str | None) -> bool:
    """Return whether to write annotations: on request, or in a GitHub workflow."""
    return form == "github" or (form is None and os.environ.get("GITHUB_ACTIONS") == "true")


def annotations(model: Path, verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield workflow commands of GitHub: an error for every exceeded limit, else a notice.

    The form is that of "Workflow commands for GitHub Actions".
    """
    broken = [verdict for verdict in verdicts if not verdict.ok]
    for verdict in broken:
        text = _data(f"{model}: {sentence(verdict)}")
        yield f"::error title={_property(verdict.limit.key)}::{text}"
    if verdicts and not broken:
        yield f"::notice title=budget::{_data(f'{model}: all {len(verdicts)} limits are met')}"


def sentence(verdict: Verdict) -> str:
    """Return the verdict on a limit in words.

    >>> from edgekws.core.measurement import Limit
    >>> sentence(Verdict(Limit("params", "max", 100), 103.1, -0.031, ok=False))
    'max_params: 103, must be ≤ 100 (−3.1 %)'
    """
    limit = verdict.limit
    measured = figures.figure(limit.metric, verdict.measured)
    return f"{limit.key}: {measured}, must be {figures.bound(verdict)} ({figures.margin(verdict)})"


def write_junit(
    path: Path, model: Path, measurements: Sequence[Measurement], verdicts: Sequence[Verdict]
) -> None:
    """Write a suite with a test case for every limit; the measurements are its properties.

    Raises:
        MachineError: it cannot be written.
    """
    broken = sum(not verdict.ok for verdict in verdicts)
    counts = {"tests": str(len(verdicts)), "failures": str(broken), "errors": "0", "skipped": "0"}
    root = Xml.Element("testsuites", {"name": "edgekws check", **counts})
    suite = Xml.SubElement(root, "testsuite", {"name": _text(str(model)), **counts})
    properties = Xml.SubElement(suite, "properties")
    for measurement in measurements:
        value = f"{measurement.value:.10g} {measurement.unit}".strip()
        Xml.SubElement(properties, "property", {"name": measurement.metric, "value": value})
    for verdict in verdicts:
        _add_case(suite, model, verdict)
    Xml.indent(root)
    text = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    write_bytes(path, text, OTHER_JUNIT)


def _add_case(suite: Xml.Element, model: Path, verdict: Verdict) -> None:
    names = {"classname": _text(str(model)), "name": verdict.limit.key, "time": "0"}
    case = Xml.SubElement(suite, "testcase", names)
    if verdict.ok:
        Xml.SubElement(case, "system-out").text = sentence(verdict)
        return
    kind = "broken" if verdict.margin is not None else "not measured"
    failure = Xml.SubElement(case, "failure", {"type": kind, "message": sentence(verdict)})
    failure.text = sentence(verdict)


def _text(value: str) -> str:
    """Replace characters that XML 1.0 does not allow."""
    return "".join(
        c if c.isprintable() or c in "\t\n" else "\N{REPLACEMENT CHARACTER}" for c in value
    )


def _data(value: str) -> str:
    return printable(value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
