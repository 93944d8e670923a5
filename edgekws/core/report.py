"""The data behind the tables and plots of a run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_json

from edgekws.core.details import Kinds
from edgekws.core.measurement import Measurement, Verdict
from edgekws.core.output import in_utf8, write_bytes


@dataclass(frozen=True)
class Result:
    """One step of the chain, the final bundle (`kind` is `bundle`), or a `reference`.

    `verdicts` are the binding ones: of the step's budget and, for the final model and the bundle,
    of the recipe's. `to_go` are the recipe's limits, applied to earlier steps. `parity` holds the
    parity checks (max |Δlogit|, label agreement); `details` what the step reported (training
    curves, calibrations tried, the latency's control), and `kinds` which of them are drawn.
    """

    name: str
    kind: str
    sha256: str
    measurements: tuple[Measurement, ...]
    verdicts: tuple[Verdict, ...] = ()
    to_go: tuple[Verdict, ...] = ()
    parity: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    kinds: Kinds = field(default_factory=dict)
    seconds: float = 0.0
    cached: bool = False

    def value(self, metric: str) -> float | None:
        """Return the value of `metric`, or `None` if it was not measured."""
        return next((m.value for m in self.measurements if m.metric == metric), None)


@dataclass(frozen=True)
class Report:
    """A run: the recipe, the machine, the data, and a result per step.

    `data` holds the clips per split and label, the rejected clips and the fingerprint; `ok` is the
    overall verdict. `references` are FP32 forms of the last trained network, for comparison of
    latencies: its plain export (the control), and the fastest form if that is another.
    """

    name: str
    recipe_sha256: str
    environment: dict[str, Any]
    data: dict[str, Any]
    results: tuple[Result, ...]
    ok: bool
    bundle_sha256: str | None = None
    notes: tuple[str, ...] = ()
    references: tuple[Result, ...] = ()

    def deciding(self) -> tuple[tuple[str, Verdict], ...]:
        """Return the verdicts that decide the run, each with the name of its result.

        A limit that the final model meets on dev is omitted if the bundle is checked on test.
        """
        bundled = self.bundle_sha256 is not None
        last = self.results[-1:] if bundled else ()
        rechecked = {verdict.limit for result in last for verdict in result.verdicts}
        return tuple(
            (result.name, verdict)
            for result in self.results
            for verdict in result.verdicts
            if result in last or not verdict.ok or verdict.limit not in rechecked
        )

    def save(self, path: Path) -> None:
        """Write the report as JSON.

        Raises:
            MachineError: it cannot be written.
        """
        content = to_json(_in_utf8(_ADAPTER.dump_python(self)), indent=1)
        write_bytes(path, content, "name another --runs")

    @staticmethod
    def load(path: Path) -> "Report":
        """Read a report.

        Raises:
            pydantic.ValidationError: the file is not a report.
        """
        return _ADAPTER.validate_json(path.read_bytes())


def _in_utf8(value: Any) -> Any:
    if isinstance(value, dict):
        return {_in_utf8(key): _in_utf8(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_in_utf8(item) for item in value]
    return in_utf8(value) if isinstance(value, str) else value


_ADAPTER = TypeAdapter(Report)
