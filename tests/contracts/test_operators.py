"""Whatever a backbone becomes, in a bundle it is not refused for what it computes."""

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import onnx
import pytest
import torch

from edgekws.audio.front_ends import front_end_model, hop_front_end_model
from edgekws.bundle import operators
from edgekws.bundle.declared import _descriptions
from edgekws.bundle.pack import hop_front_end
from edgekws.core import family
from edgekws.core.contract import Contract, Normalization
from edgekws.errors import UnsupportedError
from edgekws.exporters.ort import convert_to_ort
from edgekws.lowering import checkpoint, export, onnx_file, stream
from edgekws.lowering.folding import folded
from edgekws.runtime.front_end import MICRO_PARAMETERS, MICROFRONTEND, FrontEnd

NORMALIZATION = Normalization((-6.0,) * 40, (3.0,) * 40)


def tables() -> list[dict[str, Any]]:
    """Return every backbone, and every other choice of its Literal and bool fields."""
    found: list[dict[str, Any]] = []
    for kind in family.kinds("Backbone"):
        found.append({"kind": kind})
        for name, field in family.load("Backbone", kind).model_fields.items():
            if get_origin(field.annotation) is Literal and name != "kind":
                choices = get_args(field.annotation)
                found += [
                    {"kind": kind, name: value} for value in choices if value != field.default
                ]
            if field.annotation is bool:
                found.append({"kind": kind, name: not field.default})
    return found


TABLES = tables()


def forms(table: dict[str, Any]) -> tuple[list[dict[str, onnx.ModelProto]], Contract]:
    """Return the models of two bundles, FP32 and quantized, each with its stream if it has one."""
    backbone: Any = family.load("Backbone", table["kind"]).model_validate(table)
    front_end = FrontEnd()
    axes = (40,) if backbone.representation == "2d" else (1, 40)
    shape = (*axes, front_end.n_frames)
    labels = ("a", "b", "_unknown_", "_silence_")
    fresh = Contract(front_end, NORMALIZATION, labels, shape, backbone.model_dump(mode="json"))
    torch.manual_seed(0)
    network, contract = folded(checkpoint.untrained(fresh), fresh)
    lowered = export.export_lowered(network, contract)
    quantizer: Any = family.load("Quantizer", "onnxruntime")(kind="onnxruntime")
    noise = np.random.default_rng(0).standard_normal((8, *contract.input_shape))
    quantized = quantizer.quantize(lowered, noise.astype(np.float32), quantizer.calibrations()[0])
    return [
        {"model": model, **streaming(model, contract)} for model in (lowered, quantized)
    ], contract


def streaming(model: onnx.ModelProto, contract: Contract) -> dict[str, onnx.ModelProto]:
    """Return the streaming form of a model, if it has one."""
    try:
        return {"stream": stream.streaming_form(model, contract)}
    except UnsupportedError:
        return {}


@pytest.mark.parametrize("table", TABLES, ids=["-".join(map(str, t.values())) for t in TABLES])
def test_networks(table: dict[str, Any], tmp_path: Path) -> None:
    bundles, contract = forms(table)
    for n, models in enumerate(bundles):
        for name, model in models.items():
            onnx_file.save(model, contract, tmp_path / str(n) / f"{name}.onnx")
        accepted(tmp_path / str(n), set(models))


def accepted(folder: Path, names: set[str]) -> None:
    """Look at models as `verify` does, as they are and converted."""
    assert set(_descriptions(folder)) == {f"{name}.onnx" for name in names}
    for name in names:
        convert_to_ort(folder / f"{name}.onnx", folder / f"{name}.ort")
        (folder / f"{name}.onnx").unlink()
    described = _descriptions(folder)
    assert set(described) == {f"{name}.ort" for name in names}
    assert all(model["operators"] for model in described.values())


@pytest.mark.parametrize(
    "front_end",
    [
        FrontEnd(),
        FrontEnd(n_fft=400, win_length=400),
        FrontEnd(sample_rate=8000, n_fft=256, win_length=240, hop_length=80, f_max=4000),
        FrontEnd(n_fft=1024, win_length=640, hop_length=200),
        FrontEnd(mean="clip"),
        FrontEnd(mean="running"),
        FrontEnd(compression="pcen"),
        FrontEnd(kind=MICROFRONTEND, **MICRO_PARAMETERS),
    ],
)
def test_front_ends(front_end: FrontEnd, tmp_path: Path) -> None:
    made = {
        "frontend": front_end_model(front_end, NORMALIZATION),
        "frontend_stream": hop_front_end_model(hop_front_end(front_end, 2), NORMALIZATION),
    }
    for name, model in made.items():
        onnx.save(model, str(tmp_path / f"{name}.onnx"))
    accepted(tmp_path, set(made))


def test_nothing_that_is_allowed_runs_a_graph_of_its_own_or_makes_much_of_little() -> None:
    schemas = {schema.name: schema for schema in onnx.defs.get_all_schemas()}
    for name in operators.ALLOWED:
        kinds = {a.type for a in schemas[name].attributes.values()}
        assert onnx.defs.OpSchema.AttrType.GRAPH not in kinds, name
    refused = {"ConstantOfShape", "Expand", "Tile", "Range", "Resize", "NonZero", "RandomNormal"}
    assert not refused & operators.ALLOWED
