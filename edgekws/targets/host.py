"""The machine that the chain runs on, measured in a clean interpreter."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from edgekws.core.latency_run import Files, LatencyRun, chain
from edgekws.runtime import latency
from edgekws.targets._fields import Harness
from edgekws.targets._harness import run_harness


class Target(Harness):
    """Latency on this host, one inference at a time, batch 1."""

    kind: Literal["host"] = "host"

    def fingerprint(self) -> dict[str, Any]:
        """Return what a latency here depends on: CPU, kernel, versions and the fields."""
        return latency.fingerprint(self.threads) | {"target": self.model_dump(mode="json")}

    def measure(self, models: Mapping[str, Files], control: str) -> LatencyRun:
        """Measure `models` interleaved, against the one named `control`.

        Raises:
            MissingPartError: onnxruntime is not installed for this interpreter.
            MachineError: the harness failed; the message ends with its error.
        """
        run = run_harness(self, {name: chain(files) for name, files in models.items()}, control)
        return replace(run, fingerprint=self.fingerprint())
