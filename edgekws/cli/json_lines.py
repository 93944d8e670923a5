"""What machines see: one JSON object a line on standard output."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from edgekws.cli.process import write_line
from edgekws.core.events import Event
from edgekws.core.measurement import Measurement, Verdict

if TYPE_CHECKING:
    from edgekws.bundle.export import Exported
    from edgekws.core.report import Report
    from edgekws.core.verified import Verified
    from edgekws.engine.doctor import Check
    from edgekws.engine.plan import Plan
    from edgekws.evaluation.compare import Comparison
    from edgekws.evaluation.evaluate import Evaluation
    from edgekws.evaluation.predict import Predicted
    from edgekws.report.tables import Table


class JsonLines:
    """Writes every event, and at the end the result, as `{"event": …}`."""

    def __enter__(self) -> Self:
        """Begin; nothing is to be set up."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; nothing is to be put away."""

    def emit(self, event: Event) -> None:
        """Write an event as it happens."""
        fields = asdict(event)
        _write(fields.pop("kind"), {k: v for k, v in fields.items() if v not in (None, {})})

    def show_report(self, report: "Report") -> None:
        """Write the report of a run."""
        _write("report", asdict(report))

    def show_plan(self, plan: "Plan") -> None:
        """Write a plan."""
        _write("plan", asdict(plan))

    def show_check(self, found: Sequence[Measurement], verdicts: Sequence[Verdict]) -> None:
        """Write measurements and verdicts."""
        told = {
            "measurements": [asdict(m) for m in found],
            "verdicts": [asdict(v) for v in verdicts],
            "ok": all(v.ok for v in verdicts),
        }
        _write("check", told)

    def show_evaluations(self, evaluations: Sequence["Evaluation"]) -> None:
        """Write a line for every model."""
        for evaluation in evaluations:
            _write("evaluation", asdict(evaluation))

    def show_comparison(self, made: "Comparison") -> None:
        """Write the systems, and the difference and verdict of every pair."""
        _write("comparison", asdict(made))

    def show_predicted(self, predicted: "Predicted", output: Path) -> None:
        """Write how many labels stand in which file, and what could not be read."""
        _write("predicted", {"output": str(output), **asdict(predicted)})

    def show_verified(self, found: "Verified", bundle: Path) -> None:
        """Write what a bundle was found to be."""
        _write("verified", {"bundle": str(bundle), **asdict(found)})

    def show_exported(self, made: "Exported") -> None:
        """Write which form of the bundle stands where."""
        _write("exported", asdict(made))

    def show_file(self, report: "Report", path: Path) -> None:
        """Write a report, and where its HTML form is."""
        _write("report", {"html": str(path), **asdict(report)})

    def show_recipe(self, path: Path) -> None:
        """Write where a recipe was written."""
        _write("recipe", {"path": str(path)})

    def show_recipes(self, found: Sequence[tuple[str, str, Path]]) -> None:
        """Write a line for every built-in recipe."""
        for name, told, path in found:
            _write("recipe", {"name": name, "description": told, "path": str(path)})

    def show_doctor(self, checks: Sequence["Check"]) -> None:
        """Write every check, and whether nothing that is needed is missing."""
        ok = all(check.status != "missing" for check in checks)
        _write("doctor", {"ok": ok, "checks": [asdict(check) for check in checks]})

    def show_tables(
        self, event: str, told: dict[str, Any], tables: "Sequence[Table]", lines: Sequence[str]
    ) -> None:
        """Write what is told; the tables and lines made of it are for people."""
        _write(event, told)


def _write(event: str, fields: dict[str, Any]) -> None:
    # ASCII only, so that no encoding of the terminal or the pipe can harm it.
    write_line(json.dumps({"event": event, **_finite(fields)}, default=str))


def _finite(value: Any) -> Any:
    """Replace what JSON has no number for by `null`."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
