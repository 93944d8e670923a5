"""Measuring on this machine, through the harness in a clean process."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from edgekws.core import clean_process
from edgekws.core.latency_run import LatencyRun, ModelLatency
from edgekws.errors import MachineError, MissingPartError
from edgekws.targets.host import Target


@pytest.fixture
def model(tmp_path: Path) -> Path:
    from onnx import TensorProto, helper, numpy_helper, save

    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "w"], ["logits"])],
        "g",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 40, 97])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((97, 6), np.float32), "w")],
    )
    path = tmp_path / "модель.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def test_measures_in_a_clean_process(model: Path) -> None:
    target = Target(seconds=0.05, processes=3, warmup=2, affinity=(0,))
    run = target.measure({"a": model, "b": model}, "b")
    assert set(run.models) == {"a", "b"}
    assert run.fingerprint == target.fingerprint()
    assert run.fingerprint["target"]["affinity"] == [0]
    measurements = {m.metric: m for m in run.measurements("a")}
    for q in ("p50", "p90", "p99"):
        measurement = measurements[f"latency_{q}_us"]
        assert measurement.value == getattr(run.models["a"], f"{q}_us")
        assert measurement.ci95 is not None
        assert measurement.ci95 == getattr(run.models["a"], f"{q}_ci95")
        assert measurement.ci95[0] <= measurement.value <= measurement.ci95[1]
    assert ("latency_ratio" in measurements) == run.level
    assert run.to_dict("a")["control"] == "b"


def test_a_chain_takes_as_long_as_its_links(model: Path, tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 40, 97]) for n in "xy"]
    link = helper.make_graph([helper.make_node("Sin", ["x"], ["y"])], "g", ends[:1], ends[1:])
    first = tmp_path / "first.onnx"
    save(helper.make_model(link, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), first)
    run = Target(seconds=0.05, warmup=2).measure({"both": (first, model), "one": first}, "one")
    assert run.models["both"].p50_us > run.models["one"].p50_us


def test_without_a_level_control_there_is_no_ratio() -> None:
    latency = ModelLatency(
        20.0, 25.0, 40.0, (19.9, 20.2), (24.8, 25.3), (38.0, 43.0), 800, None, None
    )
    run = LatencyRun({"a": latency}, "a", False, 1.2, (1.1, 1.3), 2, {})
    assert [m.metric for m in run.measurements("a")] == [
        "latency_p50_us",
        "latency_p90_us",
        "latency_p99_us",
    ]
    assert run.to_dict("a")["control_ratio"] == 1.2


def test_fields_are_checked() -> None:
    for broken in ({"threads": 0}, {"seconds": 0}, {"warmup": 0}, {"affinity": ()}, {"cpu": 1}):
        with pytest.raises(ValidationError, match=next(iter(broken))):
            Target.model_validate(broken)


def test_the_fingerprint_is_cheap() -> None:
    code = (
        "import sys; from edgekws.targets.host import Target; Target().fingerprint();"
        "print(*{'torch', 'onnx', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == ""


def test_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "missing.onnx"
    with pytest.raises(MachineError, match=r"cannot be measured: .*missing\.onnx"):
        Target().measure({"a": missing}, "a")

    def harness(code: int, stderr: bytes) -> None:
        done = subprocess.CompletedProcess([], code, b"no json", stderr)
        monkeypatch.setattr(clean_process, "run_child", lambda *a, **k: done)

    harness(6, b"onnxruntime cannot be used: no module")
    with pytest.raises(MissingPartError, match="no module; install it with: pip install"):
        Target().measure({"a": missing}, "a")
    harness(-11, b"")
    with pytest.raises(MachineError, match="it died with -11"):
        Target().measure({"a": missing}, "a")
    harness(0, b"")
    with pytest.raises(MachineError, match="printed no result"):
        Target().measure({"a": missing}, "a")
