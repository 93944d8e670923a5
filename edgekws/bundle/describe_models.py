"""Tell what models take, give and compute, in a process of its own: it loads them, runs nothing.

    python -I describe_models.py TOLD.json MODEL…

`TOLD.json` gets a table by file name: `inputs` and `outputs` (`[name, type, shape]` each) and
`metadata`; of an `.ort` model also its `operators` (`[domain, name]` each). Of a model that cannot
be loaded there is the `error` alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state


def main(told: Path, *models: Path) -> None:
    """Write the table."""
    told.write_text(json.dumps({model.name: _described(model) for model in models}), "utf-8")


def _described(model: Path) -> dict[str, Any]:
    described: dict[str, Any] = {}
    if model.suffix == ".ort":
        described["operators"] = _ort_operators(model)
    try:
        session = _session(model)
    except _errors() as error:
        return {"error": str(error)}
    return described | {
        "inputs": [[end.name, end.type, end.shape] for end in session.get_inputs()],
        "outputs": [[end.name, end.type, end.shape] for end in session.get_outputs()],
        "metadata": session.get_modelmeta().custom_metadata_map,
    }


def _session(model: Path) -> Any:
    """Load a model as it is stored; nothing is run, not even to fold a constant."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _errors() -> tuple[type[Exception], ...]:
    """Return onnxruntime's exceptions, which share no base of their own, and `RuntimeError`."""
    found = vars(onnxruntime_pybind11_state).values()
    own = [e for e in found if isinstance(e, type) and issubclass(e, Exception)]
    return (*own, RuntimeError)


def _ort_operators(model: Path) -> list[tuple[str, str]]:
    """Return the operators of a model in onnxruntime's own format, those of subgraphs too."""
    from onnxruntime.tools.ort_format_model import OrtFormatModelProcessor

    by_domain: dict[str, dict[int, set[str]]] = {}
    OrtFormatModelProcessor(str(model), by_domain, None).process()
    return sorted(
        {
            ("" if domain == "ai.onnx" else domain, name)
            for domain, by_version in by_domain.items()
            for names in by_version.values()
            for name in names
        }
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
