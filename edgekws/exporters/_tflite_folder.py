"""The files of an export to TFLite, beside the models."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekws.about import version
from edgekws.core.contract import Contract

if TYPE_CHECKING:
    from edgekws.tflite.export import Form
    from edgekws.tflite.graph import Tensor

FORM, RECORD = "TFLite", "tflite.json"
_FILES = frozenset((RECORD, "README.md", "labels.txt", "model.tflite", "stream.tflite"))


def belongs(path: Path) -> bool:
    """Return whether a path in the folder is of an export."""
    return path.name in _FILES


def record(contract: Contract, sha256: str, forms: "Sequence[Form]") -> str:
    """Return `tflite.json`: what a program needs to run the models, and what was measured."""
    given: dict[str, Any] = json.loads(contract.to_json())
    written = {
        "edgekws": version(),
        "bundle": sha256,
        "labels": contract.labels,
        "front_end": given["front_end"],
        "normalization": given["normalization"],
        "models": {form.name: _described(form) for form in forms},
    }
    return json.dumps(written, ensure_ascii=False, indent=1) + "\n"


def _described(form: "Form") -> dict[str, Any]:
    return {
        "file": f"{form.name}.tflite",
        "bytes": len(form.content),
        "arena_bytes": form.arena,
        "input": _end(form.input),
        "output": _end(form.output),
        "variables": form.variables,
        "operators": form.operators,
        "differences": asdict(form.differences),
    }


def _end(tensor: "Tensor") -> dict[str, Any]:
    assert tensor.scales is not None
    scale, zero = tensor.scales.values[0], tensor.scales.zero
    return {"shape": tensor.shape, "type": tensor.type, "scale": scale, "zero_point": zero}


def note(name: str, described: dict[str, Any]) -> str:
    """Return in a line how far a model differs, from its entry in the record."""
    counted = described["differences"]
    runs = "hops" if described["variables"] else "windows"
    return (
        f"{name}.tflite rounds otherwise than {name}.onnx: on the golden clips, logits differ by "
        f"up to {counted['largest_logit']:.3g} and scores by up to {counted['largest_score']:.3g}; "
        f"{counted['labels_equal']} of {counted['runs']} {runs} have the same label"
    )


def readme(contract: Contract, forms: "Sequence[Form]") -> str:
    """Return the README of an export."""
    words = ", ".join(label for label in contract.labels if label[:1] != "_")
    return f"""# {words}, in TFLite

Networks for TFLM, LiteRT and Vela, written by edgekws {version()}, with the INT8 weights and scales
of the ONNX models. The front end is not in them: `{RECORD}` holds its settings.

{_ends_table(forms)}

A streaming network keeps its state in resource variables, which its first run fills. For another
stream, create another interpreter. The arena is what TFLM needs on a machine of 64 bits; with 32
bits it is less, but kernels made for a chip, such as ESP-NN, take more. Logits are integers:
multiply by their scale before a softmax.

## How far they differ

TFLite rounds otherwise than onnxruntime, so that bytes differ by one step here and there, and what
follows computes with them. Counted on the golden clips, in TFLM. *Alone* is a layer that is given
what onnxruntime computed before it.
{"".join(_differences(form) for form in forms)}"""


def _ends_table(forms: "Sequence[Form]") -> str:
    rows = ["| file | bytes | arena | input | output |", "|---|---|---|---|---|"]
    for form in forms:
        ends = " | ".join(_shown(tensor) for tensor in (form.input, form.output))
        rows.append(f"| `{form.name}.tflite` | {len(form.content):,} | {form.arena:,} | {ends} |")
    return "\n".join(rows)


def _shown(tensor: "Tensor") -> str:
    assert tensor.scales is not None
    shape = ", ".join(str(size) for size in tensor.shape)
    scale, zero = tensor.scales.values[0], tensor.scales.zero
    return f"{tensor.type} ({shape}), scale {scale:.8g}, zero point {zero}"


def _differences(form: "Form") -> str:
    counted = form.differences
    rows = [
        f"| {row.layer} | {row.values:,} | {row.own_different:,} | {row.own_largest} "
        f"| {row.different:,} | {row.largest} |\n"
        for row in counted.layers
    ]
    runs = "hops" if form.variables else "windows"
    return f"""
### {form.name}.tflite

{counted.runs:,} {runs}: {counted.labels_equal:,} have the label of onnxruntime. Logits differ by up
to {counted.largest_logit:.4g}, scores by up to {counted.largest_score:.4g}.

| layer | values | differ alone | steps | differ | steps |
|---|---|---|---|---|---|
{"".join(rows)}"""
