"""Describe inputs, outputs and operators of models in a separate process, without running them.

    python -I describe_models.py OUTPUT.json MODEL…

`OUTPUT.json` receives a table by file name: `inputs` and `outputs` (`[name, type, shape]` each) and
`metadata`; for an `.ort` model also its `operators` (`[domain, name]` each). For a model that
cannot be loaded it has only the `error`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state


def main(output: Path, *models: Path) -> None:
    """Write the table."""
    output.write_text(json.dumps({model.name: _describe(model) for model in models}), "utf-8")


def _describe(model: Path) -> dict[str, Any]:
    description: dict[str, Any] = {}
    if model.suffix == ".ort":
        description["operators"] = _ort_operators(model)
    try:
        session = _session(model)
    except _errors() as error:
        return {"error": str(error)}
    return description | {
        "inputs": [[node.name, node.type, node.shape] for node in session.get_inputs()],
        "outputs": [[node.name, node.type, node.shape] for node in session.get_outputs()],
        "metadata": session.get_modelmeta().custom_metadata_map,
    }


def _session(model: Path) -> Any:
    """Load a model as stored; nothing is run, not even to fold a constant."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _errors() -> tuple[type[Exception], ...]:
    """Return onnxruntime's exceptions, which have no common base, and `RuntimeError`."""
    values = vars(onnxruntime_pybind11_state).values()
    types = [e for e in values if isinstance(e, type) and issubclass(e, Exception)]
    return (*types, RuntimeError)


def _ort_operators(model: Path) -> list[tuple[str, str]]:
    """Return the operators of a model in onnxruntime's format, including subgraphs."""
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
    # onnxruntime.tools imports torch where it is installed, which nothing here needs.
    sys.modules["torch"] = None  # type: ignore[assignment]
    main(*map(Path, sys.argv[1:]))
