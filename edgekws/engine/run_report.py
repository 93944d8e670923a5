"""The results of a run, and their report."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from edgekws.core.environment import library_versions
from edgekws.core.events import Event
from edgekws.core.report import Report, Result
from edgekws.engine.baseline import conditions
from edgekws.engine.chain import RunContext
from edgekws.engine.measure import now
from edgekws.recipe.identity import recipe_sha256
from edgekws.recipe.model import Recipe


class RunReport:
    """Collects what a run measured.

    `references` are the rows of the baseline, `origins` when and how the run was started, and where
    its bundle is.
    """

    def __init__(self, recipe: Recipe, context: RunContext, command: str) -> None:
        """Start without results; `command` runs the recipe again."""
        self._recipe, self._context = recipe, context
        self.results: list[Result] = []
        self.references: tuple[Result, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.origins = {"started": now(), "command": command}
        self.bundle_sha256: str | None = None

    def add(self, result: Result) -> None:
        """Add a result, and emit it."""
        self.results.append(result)
        data = {
            "measurements": [asdict(m) for m in result.measurements],
            "parity": result.parity,
            "seconds": result.seconds,
            "cached": result.cached,
        }
        self._context.emit(Event("measured", result.name, data=data))

    def finished(self) -> Report:
        """Return the report of all results, and emit the verdicts that decide."""
        data = self._context.source.summary()
        notes = (
            *data["notes"],
            *_shortfalls(self.results),
            *conditions(self.results, self.origins["started"]),
            *self.notes,
        )
        report = self._report(data, notes)
        for name, verdict in report.deciding():
            self._context.emit(
                Event("verdict", verdict.limit.key, data={"of": name} | asdict(verdict))
            )
        return report

    def failed(self, reason: str) -> Report:
        """Return the report of a run that failed; without data, which may be the cause."""
        return self._report({}, (f"the run ended in an error: {reason}",))

    def _report(self, data: dict[str, Any], notes: tuple[str, ...]) -> Report:
        judged = [verdict for result in self.results for verdict in result.verdicts]
        environment = {
            **self.origins,
            "versions": library_versions(),
            "device": self._context.device,
            "threads": self._context.threads,
            "target": self._recipe.target.fingerprint(),
        }
        return Report(
            self._recipe.name,
            recipe_sha256(self._recipe),
            environment,
            data,
            tuple(self.results),
            ok=self.bundle_sha256 is not None and all(verdict.ok for verdict in judged),
            bundle_sha256=self.bundle_sha256,
            notes=notes,
            references=self.references,
        )


def _shortfalls(results: Sequence[Result]) -> list[str]:
    return [f"{r.name}: {line}" for r in results for line in r.details.get("shortfalls", ())]
