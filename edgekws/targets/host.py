"""The machine that the chain runs on, measured in a clean interpreter."""

from collections.abc import Mapping
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
        fields = self.model_dump(mode="json", exclude={"kind"})
        paths = {name: [str(p.resolve()) for p in chain(files)] for name, files in models.items()}
        limit_s = 120 + 6 * self.seconds * (1 + len(models))
        spec = {"models": paths, "control": control} | fields
        run = parse_latency_run(run_in_clean_process(Path(latency.__file__), spec, limit_s))
        return LatencyRun(**{**vars(run), "fingerprint": self.fingerprint()})
