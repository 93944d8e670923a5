"""The head of a run's page: the verdict, what was run where, and what to do next."""

import shlex
from pathlib import PurePath

from edgekws.core import figures
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.measurement import Verdict
from edgekws.core.report import Report
from edgekws.report.tables import kind_of_test

_INT8 = 0.99


def banner(report: Report) -> dict[str, str]:
    """Return the banner: its `kind` (ok, broken, neutral), its text, and its basis."""
    limits = [verdict for _, verdict in report.deciding()]
    broken = [v for v in limits if not v.ok]
    if report.ok:
        words = "Fits the budget" if limits else "Done, without a budget"
    else:
        words = "Does not fit the budget" if broken else "Not finished"
    kept = f"{len(limits) - len(broken)} of {len(limits)} limits met"
    where = f"by {report.results[-1].name}" if report.results else "before the first step ended"
    if report.bundle_sha256:
        where = "by the packed bundle, run by its own runtime on the test split"
    kind = "broken" if not report.ok else "ok" if limits else "neutral"
    return {"kind": kind, "words": words, "rests": f"{kept} {where}"}


def facts(report: Report) -> list[tuple[str, str]]:
    """Return the most important facts as names and values, without unknown ones."""
    rows = {
        "keywords": ", ".join(_keywords(report)),
        "kind of test": kind_of_test(report.data),
        "date": _date(report),
        "host": _host(report),
        "command": str(report.environment.get("command", "")),
        "next": _next_step(report),
    }
    return [(name, value) for name, value in rows.items() if value]


def web_command(report: Report) -> str:
    """Return the command that writes the bundle as a web page.

    Empty if there is no bundle, or its network is not INT8.
    """
    bundle = report.environment.get("bundle")
    if not (report.bundle_sha256 and bundle and report.results):
        return ""
    coverage = {m.metric: m.value for m in report.results[-1].measurements}.get("int8_coverage", 0)
    if coverage < _INT8:
        return ""
    page = f"{PurePath(bundle).name}.html"
    return shlex.join(["edgekws", "export", str(bundle), "--to", "web", "--output", page])


def _keywords(report: Report) -> list[str]:
    """Return the keywords of the bundle, or else of the data."""
    classes = (r.details["per_class"] for r in report.results if "per_class" in r.details)
    labels = [row["label"] for row in next(classes, ())]
    counts = report.data.get("counts", {})
    labels = labels or list(dict.fromkeys(label for split in counts.values() for label in split))
    return [label for label in labels if label not in (SILENCE, UNKNOWN)]


def _date(report: Report) -> str:
    """Return when the run began, of older reports when the last latency was measured."""
    if started := report.environment.get("started"):
        return str(started)
    timed = (r.details["latency"].get("measured_at") for r in report.results
             if "latency" in r.details)  # fmt: skip
    return max((at for at in timed if at), default="")


def _host(report: Report) -> str:
    target = report.environment.get("target", {})
    cores = target.get("cores")
    parts = (target.get("cpu"), f"{cores} cores" if cores else "", target.get("machine"))
    return ", ".join(str(part) for part in parts if part)


def _next_step(report: Report) -> str:
    broken = [verdict for _, verdict in report.deciding() if not verdict.ok]
    if report.ok:
        bundle = report.environment.get("bundle", "BUNDLE")
        return f"try it: edgekws detect {bundle} --microphone"
    if broken:
        return _advice(min(broken, key=lambda v: -float("inf") if v.margin is None else v.margin))
    return "run the same command again: finished steps come from the cache"


def _advice(worst: Verdict) -> str:
    title = figures.title(worst.limit.metric)
    if worst.margin is None:
        return f"{title} was not measured: remove the limit, or provide what it is measured on"
    return f"{title} is furthest off ({figures.margin(worst)}): loosen the limit or change a step"
