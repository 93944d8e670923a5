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
    """Refuse a path that `write` could not write, before anything is measured.

    Raises:
        UsageError: the suffix is of no kind that is written.
        MachineError: it cannot be written.
    """
    check_form(output, KINDS)


def write(profile: Profile, output: Path) -> list[Path]:
    """Write the page, JSON, or both to a folder, depending on the path; return the files.

    Raises:
        UsageError: the suffix is of no kind that is written.
        MachineError: it cannot be written.
    """
    check_output(output)
    files = [output / f"profile{kind}" for kind in KINDS] if is_folder(output) else [output]
    for file in files:
        write_text(file, page(profile) if file.suffix.lower() == ".html" else _json(profile))
    return files


def page(profile: Profile) -> str:
    """Return the self-contained page; the same profile gives the same page."""
    from markupsafe import Markup

    values = {
        "made": profile,
        "banner": _banner(profile),
        "lines": profile.sentences,
        "spread": Markup(spread_svg(profile)),
        "processes": Markup(processes_svg(profile)),
        "latencies": _table(profile_rows.latencies(profile)),
        "ends": _table(profile_rows.ends(profile)),
        "weights": _table(profile_rows.weights(profile)),
        "operators": [
            _operators(operators, profile) | {"picture": Markup(operators_svg(operators))}
            for operators in profile.operators
        ],
        "machine": profile_rows.machine(profile),
    }
    return _page.render("profile.html", values)


def _json(profile: Profile) -> str:
    content = {"schema": 1, **asdict(profile)}
    return json.dumps(_finite(content), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _finite(value: Any) -> Any:
    """Replace numbers that JSON cannot represent by `null`."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(rows: profile_rows.Rows) -> dict[str, Any]:
    return {"head": rows[0], "rows": rows[1], "numeric": numeric(rows[1])}


def _banner(profile: Profile) -> dict[str, str]:
    """Return class, words and what they rest on: the verdict of two, the median of one."""
    rests = f"{profile.processes} processes, 95 % intervals"
    if not profile.level:
        return {"kind": "broken", "words": "No verdict", "rests": rests}
    network = [ratio for ratio in profile.ratios if ratio.what == "network"]
    if len(network) == 1:
        words = (
            f"{figures.ratio(network[0].ratio)} × the time of {network[0].to}: {network[0].verdict}"
        )
        return {"kind": "ok", "words": words, "rests": rests}
    whole = profile.timing(profile.subjects[0], "audio → label")
    shown = whole or profile.timing(profile.subjects[0], "network")
    assert shown is not None
    words = f"{shown.what}: {figures.estimate('latency_p50_us', shown.p50_us, shown.p50_ci95)}"
    return {"kind": "ok", "words": words, "rests": f"median; {rests}"}


def _operators(operators: Operators, profile: Profile) -> dict[str, Any]:
    several = len(profile.subjects) > 1
    return {
        "title": f"{operators.subject}: {operators.what}" if several else operators.what,
        "profiler": figures.figure("latency_p50_us", operators.profiler_us),
        "runs": operators.runs,
        "nodes": _table(profile_rows.operator_nodes(operators)),
    }
