"""Bundles that were made to do harm: refused by name, or stopped at a limit."""

import os
import shutil
import time
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekws.bundle import confined, pack
from edgekws.bundle.declared import _descriptions
from edgekws.bundle.members import SUMS
from edgekws.bundle.verify import verify
from edgekws.core.canonical import sha256_file
from edgekws.errors import DataError
from edgekws.exporters.ort import convert_to_ort


def edited(bundle: Path, edit: Callable[[onnx.ModelProto], None]) -> None:
    """Change the network of a bundle, and seal it again."""
    model = onnx.load(bundle / "model.onnx")
    edit(model)
    (bundle / "model.onnx").write_bytes(model.SerializeToString())
    pack.seal(bundle, "# card\n")


def before_logits(model: onnx.ModelProto) -> None:
    """Free the name of the output, for a node that is put behind the network."""
    for node in model.graph.node:
        node.output[:] = ["before" if name == "logits" else name for name in node.output]


def constant(model: onnx.ModelProto, name: str, value: object) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def endless_loop(model: onnx.ModelProto) -> None:
    before_logits(model)
    ends: list[tuple[str, int, list[str | int | None]]] = [
        ("i", TensorProto.INT64, []),
        ("on", TensorProto.BOOL, []),
        ("state", TensorProto.FLOAT, ["batch", 4]),
    ]
    given = [helper.make_tensor_value_info(*end) for end in ends]
    outputs = [
        helper.make_tensor_value_info("on_after", TensorProto.BOOL, []),
        helper.make_tensor_value_info("state_after", TensorProto.FLOAT, ["batch", 4]),
    ]
    nodes = [
        helper.make_node("Identity", ["on"], ["on_after"]),
        helper.make_node("Identity", ["state"], ["state_after"]),
    ]
    body = helper.make_graph(nodes, "body", given, outputs)
    turns, on = constant(model, "turns", np.int64(2**62)), constant(model, "yes", np.bool_(True))
    model.graph.node.append(helper.make_node("Loop", [turns, on, "before"], ["logits"], body=body))


def ten_gib(model: onnx.ModelProto) -> None:
    before_logits(model)
    shape = constant(model, "shape", np.array([10 * 2**28], np.int64))
    axes = constant(model, "axes", np.array([0], np.int64))
    model.graph.node.extend(
        [
            helper.make_node("ConstantOfShape", [shape], ["zeros"]),
            helper.make_node("ReduceMax", ["zeros", axes], ["zero"]),
            helper.make_node("Add", ["before", "zero"], ["logits"]),
        ]
    )


def custom_domain(model: onnx.ModelProto) -> None:
    before_logits(model)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.graph.node.append(
        helper.make_node("Gelu", ["before"], ["logits"], domain="com.microsoft")
    )


def function(model: onnx.ModelProto) -> None:
    body = [helper.make_node("Relu", ["x"], ["y"])]
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("own", "Relu2", ["x"], ["y"], body, opset))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (endless_loop, r"model\.onnx has the operator Loop, which no model of a bundle has"),
        (ten_gib, r"model\.onnx has the operator ConstantOfShape"),
        (custom_domain, r"model\.onnx has the operator com\.microsoft\.Gelu"),
        (function, r"model\.onnx defines functions"),
    ],
)
def test_operators_that_no_step_writes_are_refused_by_name(
    bundle: Path, edit: Callable[[onnx.ModelProto], None], message: str
) -> None:
    edited(bundle, edit)
    started = time.monotonic()
    with pytest.raises(DataError, match=message):
        verify(bundle)
    assert time.monotonic() - started < 30


def test_operators_of_a_converted_model_are_read_from_it(bundle: Path, tmp_path: Path) -> None:
    edited(bundle, endless_loop)
    folder = tmp_path / "ort"
    folder.mkdir()
    convert_to_ort(bundle / "model.onnx", folder / "model.ort")
    with pytest.raises(DataError, match=r"model\.ort has the operator Loop"):
        _descriptions(folder)
    (folder / "model.ort").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="cannot be run by the installed runtime"):
        _descriptions(folder)


def doubled(model: onnx.ModelProto) -> None:
    """Add the mean of 2^23 times the logits to them: allowed operators, and 4 GiB."""
    before_logits(model)
    names = ["before", *(f"wide{i}" for i in range(23))]
    nodes = [
        helper.make_node("Concat", [name, name], [double], axis=1)
        for name, double in pairwise(names)
    ]
    shape = constant(model, "shape", np.array([0, 1, -1], np.int64))
    nodes += [
        helper.make_node("Concat", ["wide22"] * 32, ["widest"], axis=1),
        helper.make_node("Reshape", ["widest", shape], ["row"]),
        helper.make_node("GlobalAveragePool", ["row"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Add", ["before", "flat"], ["logits"]),
    ]
    model.graph.node.extend(nodes)


def test_memory_has_a_limit(bundle: Path) -> None:
    edited(bundle, doubled)
    with pytest.raises(DataError, match=f"takes more than {confined.MEMORY_GIB} GiB of memory"):
        verify(bundle)


SCRIPT = """
import sys
{code}
"""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("while True: pass", "takes more than 1 s of processor time"),
        ("import time; time.sleep(60)", "takes more than 3 s; nothing of it was used"),
        ("bytearray(2**40)", r"takes more than \d GiB of memory"),
        ("open(sys.argv[1], 'wb').truncate(2**40)", "cannot be run .*File too large"),
        ("sys.exit('broken')", "cannot be run by the installed runtime: broken"),
        ("import os; os.abort()", "crashes the installed runtime with SIGABRT"),
    ],
)
def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str) -> None:
    monkeypatch.setattr(confined, "CPU_S", 1)
    monkeypatch.setattr(confined, "WALL_S", 3 if "sleep" in code else 60)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(code=code))
    with pytest.raises(DataError, match=message):
        confined.run(str(script), str(tmp_path / "written"))


def in_folder(bundle: Path, name: str) -> Path:
    path = bundle / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"raise SystemExit('this was run')")
    return bundle


def sealed(bundle: Path, name: str) -> Path:
    in_folder(bundle, name)
    names = [p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()]
    sums = [f"{sha256_file(bundle / n)}  {n}\n" for n in names if n != SUMS]
    (bundle / SUMS).write_text("".join(sums))
    return bundle


def in_zip(bundle: Path, name: str) -> Path:
    sealed(bundle, name)
    return Path(shutil.make_archive(str(bundle), "zip", bundle))


STRANGERS = ("json.py", "__pycache__/detect.cpython-311.pyc", ".DS_Store", "golden/onnx.py")


@pytest.mark.parametrize("name", STRANGERS)
@pytest.mark.parametrize("put", [in_folder, sealed, in_zip])
def test_files_that_no_bundle_has_are_named(
    bundle: Path, name: str, put: Callable[[Path, str], Path]
) -> None:
    where = put(bundle, name)
    first = name.partition("/")[0] if name.startswith("__") else name
    with pytest.raises(DataError, match=rf"{first}/?'? is not (a file|part) of a bundle"):
        verify(where)


def test_folders_and_devices_are_named(bundle: Path, tmp_path: Path) -> None:
    (bundle / "numpy").mkdir()
    with pytest.raises(DataError, match="numpy is not a file of a bundle"):
        verify(bundle)
    (bundle / "numpy").rmdir()
    (bundle / "model.onnx").unlink()
    os.mkfifo(bundle / "model.onnx")
    with pytest.raises(DataError, match=r"model\.onnx is not a file of a bundle"):
        verify(bundle)


def test_a_folder_in_an_archive_is_named(bundle: Path, tmp_path: Path) -> None:
    path = in_zip(bundle, "labels.txt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("json/", b"")
    with pytest.raises(DataError, match="'json/' is not part of a bundle"):
        verify(path)


def test_a_fixed_batch_of_many_is_refused_with_what_to_do(bundle: Path) -> None:
    def eight_at_once(model: onnx.ModelProto) -> None:
        for end in (*model.graph.input, *model.graph.output):
            end.type.tensor_type.shape.dim[0].dim_value = 8

    edited(bundle, eight_at_once)
    with pytest.raises(DataError, match=r"model\.onnx takes 8 clips at once.* a batch of 1, or a"):
        verify(bundle)
