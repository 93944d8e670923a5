"""The machine that the chain runs on, measured in a clean interpreter."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from edgekws.core.clean_process import run_in_clean_process
from edgekws.core.latency_run import Files, LatencyRun, chain, parse_latency_run
from edgekws.runtime import latency
from edgekws.targets._fields import Harness


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


def run_harness(target: Harness, models: Mapping[str, Sequence[Path]], control: str) -> LatencyRun:
    """Measure chains of ONNX files or compiled libraries in a clean interpreter.

    Raises:
        MissingPartError, MachineError: as `Target.measure`.
    """
    fields = {name: getattr(target, name) for name in Harness.model_fields}
    paths = {name: [str(path.resolve()) for path in files] for name, files in models.items()}
    limit_s = 120 + 6 * target.seconds * (1 + len(models))
    spec = {"models": paths, "control": control} | fields
    return parse_latency_run(run_in_clean_process(Path(latency.__file__), spec, limit_s))
