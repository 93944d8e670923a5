"""The latency harness, run on this machine in a clean interpreter."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekws.core.clean_process import run_in_clean_process
from edgekws.core.latency_run import LatencyRun, parse_latency_run
from edgekws.runtime import latency
from edgekws.targets._fields import Harness


def run_harness(target: Harness, models: Mapping[str, Sequence[Path]], control: str) -> LatencyRun:
    """Measure chains of ONNX files or compiled libraries in a clean interpreter.

    Raises:
        MissingPartError, MachineError: as `Target.measure`.
    """
    paths = {name: [str(path.resolve()) for path in files] for name, files in models.items()}
    limit_s = 120 + 6 * target.seconds * (1 + len(models))
    spec = {"models": paths, "control": control} | target.harness_settings()
    return parse_latency_run(run_in_clean_process(Path(latency.__file__), spec, limit_s))
