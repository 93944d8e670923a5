import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgekws.core.contract import Contract
from edgekws.errors import MachineError, ParityError
from edgekws.lowering import _simplify, onnx_file, simplify
from edgekws.lowering.export import export_lowered, export_naive
from edgekws.lowering.parity import logits
from tests.lowering.conftest import NetworkOf


@pytest.fixture
def source(network_of: NetworkOf, contract_of: Callable[[str], Contract], tmp_path: Path) -> Path:
    contract = contract_of("relu_first_padded")
    model = export_naive(network_of("relu_first_padded"), contract)
    extra = helper.make_node("Identity", ["logits_"], ["logits"], name="needless")
    model.graph.node[-1].output[0] = "logits_"
    model.graph.node.append(extra)
    onnx_file.save(model, contract, tmp_path / "source.onnx")
    return tmp_path / "source.onnx"


def test_fewer_nodes_same_logits(
    source: Path, features: NDArray[np.float32], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "target.onnx"
    details = simplify.simplify(source, target, features)
    before, after = onnx.load(source), onnx.load(target)
    assert details["nodes_before"] == len(before.graph.node)
    assert details["nodes_after"] == len(after.graph.node) < details["nodes_before"]
    assert details["max_abs_diff"] <= 1e-4
    np.testing.assert_allclose(
        logits(target, features[:1]), logits(source, features[:1]), atol=1e-4
    )
    assert after.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert onnx_file.load(target)[1] == onnx_file.load(source)[1]
    assert [p.key for p in after.metadata_props] == ["contract"]
    simplify.simplify(source, tmp_path / "again.onnx", features)
    assert (tmp_path / "again.onnx").read_bytes() == target.read_bytes()
    assert capfd.readouterr() == ("", "")


def _quantized_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write each Conv weight as INT8 before a DequantizeLinear, with a redundant Identity."""
    graph = model.graph
    for node in [n for n in graph.node if n.op_type == "Conv"]:
        weight = next(i for i in graph.initializer if i.name == node.input[1])
        values = numpy_helper.to_array(weight)
        scale = np.float32(np.abs(values).max() / 127)
        graph.initializer.remove(weight)
        graph.initializer.extend(
            [
                numpy_helper.from_array(
                    np.rint(values / scale).astype(np.int8), f"{weight.name}.q"
                ),
                numpy_helper.from_array(np.asarray(scale), f"{weight.name}.scale"),
            ]
        )
        graph.node.insert(
            0,
            helper.make_node(
                "DequantizeLinear", [f"{weight.name}.q", f"{weight.name}.scale"], [weight.name]
            ),
        )
    return model


def test_int8_weights_stay_int8(
    network_of: NetworkOf,
    contract_of: Callable[[str], Contract],
    features: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    contract = contract_of("3d")
    model = _quantized_weights(export_lowered(network_of("3d"), contract))
    onnx_file.save(model, contract, tmp_path / "q.onnx")
    simplify.simplify(tmp_path / "q.onnx", tmp_path / "s.onnx", features)
    after = onnx.load(tmp_path / "s.onnx")
    assert Counter(n.op_type for n in after.graph.node)["DequantizeLinear"] == 2
    int8 = [i for i in after.graph.initializer if i.data_type == onnx.TensorProto.INT8]
    assert sorted(i.dims[0] for i in int8) == [6, 6]


def test_lost_int8_weights_are_an_error(
    network_of: NetworkOf, contract_of: Callable[[str], Contract], source: Path
) -> None:
    plain = export_lowered(network_of("3d"), contract_of("3d"))
    with pytest.raises(ParityError, match="turned 2 INT8 weights back into FP32"):
        simplify._check_int8_weights(_quantized_weights(plain), onnx.load(source), source)


def script_of(code: str, folder: Path) -> str:
    (folder / "script.py").write_text(code)
    return str(folder / "script.py")


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        (f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})", MachineError, "SIGSEGV"),
        ("raise RuntimeError('no such operator')", MachineError, "failed: .*no such operator"),
        ("raise SystemExit(7)", MachineError, "failed: exit code 7"),
        (f"raise SystemExit({_simplify.CHECK_FAILED})", ParityError, "own check failed"),
    ],
)
def test_every_failure_is_an_error(
    code: str,
    error: type[MachineError] | type[ParityError],
    message: str,
    source: Path,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=rf"source\.onnx: onnxsim.*{message}"):
        simplify._run(source, script_of(code, tmp_path))


def test_a_full_disk_is_reported_with_the_temporary_folder(
    source: Path, features: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = b"OSError: [Errno 28] No space left on device: 'simplified.onnx'"
    done: Any = subprocess.CompletedProcess([], 1, b"", words)
    monkeypatch.setattr(simplify, "run_child", lambda *a, **k: done)
    message = r"edgekws-simplify-.*: cannot be written \(the disk is full\); .* TMPDIR"
    with pytest.raises(MachineError, match=message):
        simplify.simplify(source, source.with_name("target.onnx"), features)


def test_a_hanging_onnxsim_is_stopped(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simplify, "TIMEOUT_S", 0.2)
    with pytest.raises(MachineError, match="onnxsim did not finish within 0 s"):
        simplify._run(source, script_of("import time; time.sleep(30)", tmp_path))


def test_a_failing_check_writes_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxsim

    monkeypatch.setattr(onnxsim, "simplify", lambda model, **options: (model, False))
    np.save(tmp_path / "i.npy", np.zeros((1, 12, 41), np.float32))
    target = tmp_path / "t.onnx"
    arguments = (str(source), str(target), str(tmp_path / "i.npy"), 1e-4)
    assert _simplify.main(*arguments) == _simplify.CHECK_FAILED
    assert not target.exists()


def test_the_script_is_standalone(tmp_path: Path) -> None:
    """It runs from any folder, with or without the package on the path."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", _simplify.__file__, "none.onnx", "t.onnx", "i.npy", "1e-4"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert "FileNotFoundError" in done.stderr
    assert "edgekws" not in done.stderr.splitlines()[-1]
