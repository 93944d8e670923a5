"""Scripts of the runtime, run in a clean interpreter: a spec in, JSON out."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekws.core.child import run_child
from edgekws.core.scratch import scratch_folder
from edgekws.errors import MachineError, MissingPartError


def run_in_clean_process(script: Path, spec: Mapping[str, Any], limit_s: float) -> bytes:
    """Return the output of `script --spec FILE`, where FILE holds `spec` as JSON.

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
    stderr = done.stderr.decode(errors="replace").strip()
    if done.returncode == 6:
        raise MissingPartError(f"{stderr}; install it with: pip install onnxruntime")
    if done.returncode:
        reason = stderr[-600:] or f"it died with {done.returncode}"
        raise MachineError(f"latency cannot be measured: {reason}")
    return done.stdout
