"""Load and run a model in a separate process, to check that it stays within its limits.

    python -I try_model.py MODEL

It runs as stored and as optimized by onnxruntime, on silence and on noise. Errors of onnxruntime
are ignored here; the later measurement reports them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state

LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL")
TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
}
NO_MEMORY = ("bad_alloc", "bad allocation", "Failed to allocate memory")


def main(model: Path) -> None:
    """Run the model once at each level and on each input.

    Raises:
        MemoryError: onnxruntime ran out of memory.
    """
    for level in LEVELS:
        try:
            session = _session(model, level)
            for scale in (0, 1):
                if (feed := _feed(session, scale)) is not None:
                    session.run(None, feed)
        except _errors() as error:
            if any(text in str(error) for text in NO_MEMORY):
                raise MemoryError(str(error)) from error
            return


def _session(model: Path, level: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(model), options, ["CPUExecutionProvider"])


def _feed(session: Any, scale: float) -> dict[str, Any] | None:
    """Return silence or noise for every input; `None` if a shape or type is not supported."""
    rng, feed = np.random.default_rng(0), {}
    for node in session.get_inputs():
        shape = [1 if i == 0 and not isinstance(n, int) else n for i, n in enumerate(node.shape)]
        if node.type not in TYPES or not all(isinstance(n, int) for n in shape):
            return None
        feed[node.name] = (scale * rng.standard_normal(shape)).astype(TYPES[node.type])
    return feed


def _errors() -> tuple[type[Exception], ...]:
    """Return onnxruntime's exceptions, which have no common base, and `RuntimeError`."""
    values = vars(onnxruntime_pybind11_state).values()
    types = [e for e in values if isinstance(e, type) and issubclass(e, Exception)]
    return (*types, RuntimeError)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
