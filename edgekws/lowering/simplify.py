"""Clean up a graph with onnxsim and verify the result."""

import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgekws.core.child import raise_if_disk_full, run_child
from edgekws.core.scratch import scratch_folder
from edgekws.errors import MachineError, ParityError
from edgekws.lowering import _simplify, onnx_file, parity

TIMEOUT_S = 600.0


def simplify(source: Path, target: Path, features: NDArray[np.float32]) -> dict[str, Any]:
    """Simplify the ONNX file `source` into `target` and return the result in figures.

    `features` `(N, n_mels, T)` are the clips on which both must agree within `parity.TOLERANCE`,
    which is far less than an output step of an INT8 model. The contract, the dynamic batch and
    INT8 weights are kept. onnxsim runs in a separate process: its native code may crash.

    Returns `nodes_before`, `nodes_after` and `max_abs_diff` (logits).

    Raises:
        ModuleNotFoundError: onnxsim is not installed.
        ParityError: the simplified model gives different logits, or has lost its INT8 weights.
        MachineError: onnxsim crashed or failed; the message names the signal or the error.
    """
    if find_spec("onnxsim") is None:
        raise ModuleNotFoundError("onnxsim is not installed", name="onnxsim")
    before, contract = onnx_file.load(source)
    after = _run_onnxsim(source, before, features)
    _check_int8_weights(before, after, source)
    a, b = parity.logits(source, features), parity.logits(after, features)
    worst = parity.check(a, b, what=f"simplify {source.name}")
    onnx_file.save(after, contract, target)
    return {
        "nodes_before": len(before.graph.node),
        "nodes_after": len(after.graph.node),
        "max_abs_diff": worst,
    }


def _run_onnxsim(
    source: Path, model: onnx.ModelProto, features: NDArray[np.float32]
) -> onnx.ModelProto:
    rank = len(model.graph.input[0].type.tensor_type.shape.dim)
    with scratch_folder("simplify") as folder:
        inputs, target = folder / "inputs.npy", folder / "simplified.onnx"
        np.save(inputs, features[:, None] if rank == 4 else features)
        arguments = (str(source), str(target), str(inputs), str(parity.TOLERANCE))
        _run(source, _simplify.__file__, *arguments)
        return onnx.load(target)


def _run(source: Path, script: str, *arguments: str) -> None:
    try:
        done = run_child(script, *arguments, flags=("-P",), limit_s=TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise MachineError(
            f"{source}: onnxsim did not finish within {TIMEOUT_S:.0f} s; remove the simplify step"
        ) from error
    if done.returncode == _simplify.CHECK_FAILED:
        raise ParityError(
            f"{source}: onnxsim's own check failed: the simplified model gives different results; "
            "remove the simplify step"
        )
    if done.returncode:
        raise_if_disk_full(done.stderr.decode(errors="replace"))
        raise MachineError(
            f"{source}: onnxsim {_failure(done)}; remove the simplify step, or try another "
            "version of onnxsim"
        )


def _failure(done: "subprocess.CompletedProcess[bytes]") -> str:
    """Describe how the process failed: `crashed (SIGSEGV)`, or the last line of its error."""
    if done.returncode < 0:
        return f"crashed ({signal.Signals(-done.returncode).name})"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return f"failed: {lines[-1] if lines else f'exit code {done.returncode}'}"


def _check_int8_weights(before: onnx.ModelProto, after: onnx.ModelProto, source: Path) -> None:
    lost = _int8_weights(before) - _int8_weights(after)
    if lost:
        raise ParityError(
            f"{source}: simplification turned {len(lost)} INT8 weights back into FP32; remove the "
            "simplify step"
        )


def _int8_weights(model: onnx.ModelProto) -> set[tuple[tuple[int, ...], bytes]]:
    """Return shape and values of every INT8 initializer with at least two axes."""
    int8 = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    arrays = [numpy_helper.to_array(i) for i in model.graph.initializer if i.data_type in int8]
    return {(array.shape, array.tobytes()) for array in arrays if array.ndim > 1}
