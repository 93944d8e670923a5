"""What is read off a graph: an inference is that of one window, MACs are those of a second."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekws.core.contract import Normalization
from edgekws.engine.measure import count
from edgekws.engine.whole import whole_counts
from edgekws.lowering import onnx_file
from edgekws.runtime.front_end import FrontEnd
from tests.tone_bundle import contract, streaming_model
from tests.tones import Linear

FLAT = Normalization((0.0,) * 40, (1.0,) * 40)


def macs(model: Path, window_s: float) -> float:
    return next(m.value for m in count(model, window_s) if m.metric == "macs")


@pytest.mark.parametrize("window_s", [0.5, 1.0, 2.0])
def test_macs_are_those_of_a_second_whatever_the_window(linear: Linear, window_s: float) -> None:
    built = linear("m.onnx", FrontEnd(window_s=window_s), FLAT)
    assert macs(built.path, window_s) == 40 * 2 / window_s  # a matrix a window, 40 mels, 2 labels


@pytest.mark.parametrize("window_s", [0.5, 2.0])
def test_so_are_those_of_a_front_end_and_of_both(packed: Path, window_s: float) -> None:
    def found(seconds: float) -> dict[str, float]:
        network = count(packed / "model.onnx", seconds)
        return {m.metric: m.value for m in whole_counts(packed, network, seconds)}

    for metric in ("front_end_macs", "total_macs"):
        assert found(window_s)[metric] == pytest.approx(found(1.0)[metric] / window_s)


@pytest.mark.parametrize("window_s", [0.5, 1.0, 2.0])
def test_a_window_counts_for_its_seconds(tmp_path: Path, window_s: float) -> None:
    weight = numpy_helper.from_array(np.ones((5, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 5])],
        [onnx.ValueInfoProto(name="y")],
        [weight],
    )
    opsets = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), str(tmp_path / "m"))
    result = {one.metric: (one.value, one.unit) for one in count(tmp_path / "m", window_s)}
    assert result == {
        "params": (15, ""),
        "macs": (15 / window_s, "/s"),
        "size_kib": ((tmp_path / "m").stat().st_size / 1024, "KiB"),
        "peak_ram_kib": ((5 + 3) * 4 / 1024, "KiB"),
        "int8_coverage": (0.0, ""),
    }


def test_a_hop_counts_for_its_own(tmp_path: Path) -> None:
    """Every 20 ms the classifier of 40 bands and 4 labels, whatever the window."""
    reported = contract()
    onnx_file.save(streaming_model(reported), reported, tmp_path / "stream.onnx")
    for window_s in (1.0, 3.0):
        result = {one.metric: one.value for one in count(tmp_path / "stream.onnx", window_s)}
        assert result["macs"] == pytest.approx(40 * 4 / 0.02)
        assert result["params"] == 40 * 4 + 4
