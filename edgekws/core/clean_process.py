"""A script of the runtime, run alone in a clean interpreter: a spec in, JSON out."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekws.core.child import run_child
from edgekws.core.scratch import scratch_folder
from edgekws.errors import MachineError, MissingPartError


def run_alone(script: Path, spec: Mapping[str, Any], limit_s: float) -> bytes:
    """Return what `script --spec FILE` prints, FILE being the JSON of `spec`.

    Raises:
        MissingPartError: onnxruntime is not installed for this interpreter.
        MachineError: the script failed or took longer than `limit_s`.
    """
    with scratch_folder("latency") as folder:
        file = folder / "spec.json"
        file.write_text(json.dumps(spec))
        try:
            done = run_child(str(script), "--spec", str(file), limit_s=limit_s)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MachineError(f"the latency harness did not finish: {error}") from error
    words = done.stderr.decode(errors="replace").strip()
    if done.returncode == 6:
        raise MissingPartError(f"{words}; install it with: pip install onnxruntime")
    if done.returncode:
        reason = words[-600:] or f"it died with {done.returncode}"
        raise MachineError(f"latency cannot be measured: {reason}")
    return done.stdout
