"""Latency of compiled C: what has a form in C is compiled, the rest says why not."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from edgekws.audio.front_end_graph import front_end_model
from edgekws.codegen import compiler
from edgekws.errors import MachineError, MissingPartError, RecipeError
from edgekws.lowering import onnx_file
from edgekws.recipe.load import load
from edgekws.targets.c_host import Target
from tests.int8_bundle import write_model

QUICK = {"seconds": 0.05, "processes": 2, "warmup": 2}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An INT8 network with its streaming form, a front end, and a graph without a contract."""
    folder = tmp_path_factory.mktemp("c-host")
    write_model(folder)
    _, contract = onnx_file.load(folder / "model.onnx")
    front_end = front_end_model(contract.front_end, contract.normalization)
    onnx.save(front_end, folder / "frontend.onnx")
    ends = [helper.make_tensor_value_info(name, 1, [1, 4]) for name in "xy"]
    node = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), folder / "relu.onnx")
    return folder


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKWS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def needs_gcc() -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")


def test_networks_front_ends_and_both_are_compiled(models: Path) -> None:
    needs_gcc()
    front_end, network = models / "frontend.onnx", models / "model.onnx"
    target = Target(**QUICK, compiler="gcc", flags="-O1")
    files: dict[str, Any] = {
        "network": network,
        "front end": front_end,
        "audio": (front_end, network),
        "hop": models / "stream.onnx",
        "float": models / "relu.onnx",
    }
    run = target.measure(files, "network")
    forms = {name: model.form for name, model in run.models.items()}
    compiled = f"{compiler.required('gcc').version}, -O1"
    assert [forms.pop(name) for name in ("network", "front end", "audio", "hop")] == [compiled] * 4
    assert forms["float"].startswith("onnxruntime: ")
    assert "contract" in forms["float"]
    assert all(model.p50_us > 0 for model in run.models.values())
    times = {name: model.p50_us for name, model in run.models.items()}
    assert times["hop"] < times["network"] < times["audio"]
    assert compiled in run.conditions("audio")
    assert run.fingerprint["compiler"] == compiler.required("gcc").version


def test_what_is_timed_computes_the_network_and_is_compiled_once(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inputs are random, so the output of a run is compared through the library itself."""
    needs_gcc()
    import ctypes

    from edgekws.codegen import timing

    library = tmp_path / "net.so"
    timing.write_library(
        models / "model.onnx", library, compiler.required("gcc"), ["-O1"], times=("network",)
    )
    monkeypatch.setattr(compiler.Compiler, "library", None)
    again = tmp_path / "again.so"
    timing.write_library(
        models / "model.onnx", again, compiler.required("gcc"), ["-O1"], times=("network",)
    )
    assert again.read_bytes() == library.read_bytes()
    loaded = ctypes.CDLL(str(library))
    loaded.kws_timing_bytes.restype = ctypes.c_size_t
    memory = ctypes.create_string_buffer(loaded.kws_timing_bytes())
    loaded.kws_timing_begin(memory)
    before = memory.raw
    loaded.kws_timing_run(memory)
    logits = np.frombuffer(memory.raw, np.float32, 4, offset=len(memory.raw) - 16)
    assert memory.raw != before
    assert np.isfinite(logits).all()
    assert np.ptp(logits) > 0


def test_options_that_no_compiler_takes_are_named(models: Path) -> None:
    needs_gcc()
    target = Target(**QUICK, compiler="gcc", flags="-no-such-option")
    with pytest.raises(MachineError, match=r"gcc does not compile the C: .*no-such-option"):
        target.measure({"network": models / "model.onnx"}, "network")


def test_without_a_compiler_the_error_says_how_to_get_one(models: Path) -> None:
    target = Target(compiler="no-such-compiler")
    with pytest.raises(MissingPartError, match=r"no-such-compiler\); install one"):
        target.measure({"network": models / "model.onnx"}, "network")


@pytest.mark.parametrize(
    ("option", "target", "message"),
    [
        ("mean=clip", '{ kind = "c_host" }', r"front_end\.mean: .* follows a stream"),
        ("mean=clip", '{ kind = "cortex_m" }', r"front_end\.mean: .* follows a stream"),
        (
            "compression=pcen",
            '{ kind = "cortex_m", cpu = "cortex-m3" }',
            r"front_end\.compression: the target has no floating point",
        ),
    ],
)
def test_a_recipe_tells_options_that_have_no_kernel(option: str, target: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load("arabic-5", [f"front_end.{option}", f"target={target}"])
    loaded = load("arabic-5", ["front_end.mean=running", f"target={target}"])
    assert loaded.recipe.front_end.mean == "running"
