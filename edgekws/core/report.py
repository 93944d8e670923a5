"""Everything that the tables and the pictures of a run are drawn from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from edgekws.core.measurement import Measurement, Verdict


@dataclass(frozen=True)
class Result:
    """One step of the chain, or the bundle at its end (`kind` is `bundle`).

    `parity` holds the rungs that were proven (max |Δlogit|, label agreement); `details` what the
    step itself told (training curves, calibrations tried); `latency` percentiles and the control.
    """

    name: str
    kind: str
    sha256: str
    measurements: tuple[Measurement, ...]
    verdicts: tuple[Verdict, ...]
    parity: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    cached: bool = False

    def value(self, metric: str) -> float | None:
        """Return the value of `metric`, `None` where it was not measured."""
        return next((m.value for m in self.measurements if m.metric == metric), None)


@dataclass(frozen=True)
class Report:
    """A run: the recipe it came from, the machine, the data, and a result a step.

    `data` tells clips a split and label, what was rejected and the fingerprint; `ok` is the
    verdict on the whole.
    """

    name: str
    recipe_sha256: str
    environment: dict[str, Any]
    data: dict[str, Any]
    results: tuple[Result, ...]
    ok: bool
    bundle_sha256: str | None = None
    notes: tuple[str, ...] = ()

    def save(self, path: Path) -> None:
        """Write the report as JSON."""
        path.write_bytes(_ADAPTER.dump_json(self, indent=1))

    @staticmethod
    def load(path: Path) -> "Report":
        """Read a report.

        Raises:
            pydantic.ValidationError: the file is not a report.
        """
        return _ADAPTER.validate_json(path.read_bytes())


_ADAPTER = TypeAdapter(Report)
