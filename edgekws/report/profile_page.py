"""A profile as files: a page with plots for people, JSON for machines, or both in a folder."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgekws.core import figures
from edgekws.core.output import check_form, is_folder, write_text
from edgekws.evaluation.profiled import Operators, Profile
from edgekws.report import _page, profile_rows
from edgekws.report._details import numeric
from edgekws.report.profile_plots import operators_svg, processes_svg, spread_svg

KINDS = (".html", ".json")


def check_output(output: Path) -> None:
    """Refuse what `write` could not write, before anything is measured.

    Raises:
        UsageError: the suffix is of no kind that is written.
        MachineError: it cannot be written.
    """
    check_form(output, KINDS)


def write(made: Profile, output: Path) -> list[Path]:
    """Write the page, the JSON, or into a folder both, as the path says; return the files.

    Raises:
        UsageError: the suffix is of no kind that is written.
        MachineError: it cannot be written.
    """
    check_output(output)
    files = [output / f"profile{kind}" for kind in KINDS] if is_folder(output) else [output]
    for file in files:
        write_text(file, page(made) if file.suffix.lower() == ".html" else _json(made))
    return files


def page(made: Profile) -> str:
    """Return the page, which needs nothing beside it; the same profile gives the same page."""
    from markupsafe import Markup

    values = {
        "made": made,
        "banner": _banner(made),
        "lines": made.sentences,
        "spread": Markup(spread_svg(made)),
        "processes": Markup(processes_svg(made)),
        "latencies": _table(profile_rows.latencies(made)),
        "ends": _table(profile_rows.ends(made)),
        "weights": _table(profile_rows.weights(made)),
        "operators": [
            _operators(one, made) | {"picture": Markup(operators_svg(one))}
            for one in made.operators
        ],
        "machine": profile_rows.machine(made),
    }
    return _page.render("profile.html", values)


def _json(made: Profile) -> str:
    content = {"schema": 1, **asdict(made)}
    return json.dumps(_finite(content), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _finite(value: Any) -> Any:
    """Replace what JSON has no number for by `null`."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(rows: profile_rows.Rows) -> dict[str, Any]:
    return {"head": rows[0], "rows": rows[1], "numeric": numeric(rows[1])}


def _banner(made: Profile) -> dict[str, str]:
    """Return class, words and what they rest on: the verdict of two, the median of one."""
    rests = f"{made.processes} processes, 95 % intervals"
    if not made.level:
        return {"kind": "broken", "words": "No verdict", "rests": rests}
    network = [one for one in made.ratios if one.what == "network"]
    if len(network) == 1:
        words = (
            f"{figures.ratio(network[0].ratio)} × the time of {network[0].to}: {network[0].verdict}"
        )
        return {"kind": "ok", "words": words, "rests": rests}
    whole = made.timing(made.subjects[0], "audio → label")
    shown = whole or made.timing(made.subjects[0], "network")
    assert shown is not None
    words = f"{shown.what}: {figures.estimate('latency_p50_us', shown.p50_us, shown.p50_ci95)}"
    return {"kind": "ok", "words": words, "rests": f"median; {rests}"}


def _operators(one: Operators, made: Profile) -> dict[str, Any]:
    several = len(made.subjects) > 1
    return {
        "title": f"{one.subject}: {one.what}" if several else one.what,
        "profiler": figures.figure("latency_p50_us", one.profiler_us),
        "runs": one.runs,
        "nodes": _table(profile_rows.operator_nodes(one)),
    }
