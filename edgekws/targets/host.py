"""The machine that the chain runs on, measured in a clean interpreter."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from edgekws.core.fields import Fields
from edgekws.errors import MachineError, MissingPartError
from edgekws.runtime import latency
from edgekws.targets._run import LatencyRun

_RUN = TypeAdapter(LatencyRun)


class Target(Fields):
    """Latency on this host, one inference at a time, batch 1."""

    kind: Literal["host"] = "host"
    threads: int = Field(default=1, ge=1, description="onnxruntime's threads within an operator")
    affinity: tuple[int, ...] | None = Field(
        default=None, min_length=1, description="CPUs that the process is bound to; default any"
    )
    warmup: int = Field(default=20, ge=1, description="untimed runs of each model, before the rest")
    seconds: float = Field(
        default=2.0,
        gt=0,
        description="of measuring; as much again where the control was not level at first",
    )
    seed: int = Field(
        default=0, description="of the random inputs, the order and the intervals' resampling"
    )

    def fingerprint(self) -> dict[str, Any]:
        """Return what a latency here depends on: CPU, kernel, versions and the fields."""
        return latency.fingerprint(self.threads) | {"target": self.model_dump(mode="json")}

    def measure(self, models: Mapping[str, Path], control: str) -> LatencyRun:
        """Measure `models` interleaved, against the one named `control`.

        Raises:
            MissingPartError: onnxruntime is not installed for this interpreter.
            MachineError: the harness failed; the message holds its last words.
        """
        with tempfile.TemporaryDirectory(prefix="edgekws-latency-") as folder:
            spec = Path(folder) / "spec.json"
            fields = self.model_dump(mode="json", exclude={"kind"})
            paths = {name: str(path.resolve()) for name, path in models.items()}
            spec.write_text(json.dumps({"models": paths, "control": control} | fields))
            run = self._harness(spec, len(models))
        return LatencyRun(**{**vars(run), "fingerprint": self.fingerprint()})

    def _harness(self, spec: Path, n_models: int) -> LatencyRun:
        command = [sys.executable, "-I", latency.__file__, "--spec", str(spec)]
        limit_s = 120 + 4 * self.seconds * (1 + n_models)
        try:
            done = subprocess.run(command, capture_output=True, timeout=limit_s, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MachineError(f"the latency harness did not finish: {error}") from error
        words = done.stderr.decode(errors="replace").strip()
        if done.returncode == 6:
            raise MissingPartError(f"{words}; install it with: pip install onnxruntime")
        if done.returncode:
            reason = words[-600:] or f"it died with {done.returncode}"
            raise MachineError(f"latency cannot be measured: {reason}")
        try:
            return _RUN.validate_json(done.stdout)
        except ValidationError as error:
            raise MachineError(f"the latency harness printed no result: {error}") from error
