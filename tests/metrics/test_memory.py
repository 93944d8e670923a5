"""Peak activation memory against hand-computed values and a simulation, step by step."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekws.errors import UnsupportedError
from edgekws.metrics import execution
from edgekws.metrics.memory import VIEWS, Schedule, peak_bytes, peak_ram_kib

FLOAT = TensorProto.FLOAT


def model(
    nodes: list[Any], shape: list[Any], weights: dict[str, Any] | None = None, output: str = "y"
) -> onnx.ModelProto:
    """Return a graph from `x` to `output`."""
    built = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [onnx.ValueInfoProto(name=output)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(built, opset_imports=opsets, ir_version=10)


def convolution(name: str, given: str, channels_in: int, channels: int) -> tuple[Any, Any]:
    weight = np.random.default_rng(channels).standard_normal((channels, channels_in, 1, 1))
    return helper.make_node("Conv", [given, f"{name}.w"], [name]), weight.astype(np.float32)


def narrow_wide_narrow(residual: bool) -> onnx.ModelProto:
    """(4, 1, 64) → 16 channels → 4 channels, with or without the input added at the end."""
    up, up_w = convolution("up", "x", 4, 16)
    down, down_w = convolution("down", "act", 16, 4)
    act = helper.make_node("Abs", ["up"], ["act"])  # no activation that is fused
    nodes = [up, act, down]
    if residual:
        nodes.append(helper.make_node("Mul", ["down", "x"], ["y"]))
    weights = {"up.w": up_w, "down.w": down_w}
    return model(nodes, ["batch", 4, 1, 64], weights, "y" if residual else "down")


def test_a_chain_holds_two_neighbours_and_a_skip_its_start_as_well() -> None:
    narrow, wide = 4 * 64 * 4, 16 * 64 * 4  # bytes
    assert peak_ram_kib(narrow_wide_narrow(residual=False)) == 2 * wide / 1024
    assert peak_ram_kib(narrow_wide_narrow(residual=True)) == (2 * wide + narrow) / 1024


def test_views_have_no_memory_of_their_own() -> None:
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["a"]),
        helper.make_node("Reshape", ["a", "flat"], ["b"]),
        helper.make_node("Unsqueeze", ["b", "axis"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["y"]),
    ]
    weights = {"flat": np.array([-1, 256]), "axis": np.array([1])}
    assert peak_ram_kib(model(nodes, [1, 4, 64], weights)) == 2.0


def test_integers_of_eight_bits_are_counted_as_one_byte() -> None:
    scale = {"s": np.float32(0.1), "z": np.uint8(128)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("MaxPool", ["q"], ["p"], kernel_shape=[1, 1]),
        helper.make_node("DequantizeLinear", ["p", "s", "z"], ["y"]),
    ]
    # The largest moment is either end: 1 KiB of floats beside 256 bytes.
    assert peak_ram_kib(model(nodes, [1, 4, 1, 64], scale)) == 1.25


def test_a_file_is_read_and_measured_at_batch_1(tmp_path: Path) -> None:
    onnx.save(narrow_wide_narrow(residual=True), str(tmp_path / "m.onnx"))
    assert peak_ram_kib(tmp_path / "m.onnx") == 9.0


def test_the_order_is_the_one_in_which_onnxruntime_runs_the_nodes(
    packed: Path, tmp_path: Path
) -> None:
    for file in ("model.onnx", "frontend.onnx"):
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(tmp_path / file)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        session = onnxruntime.InferenceSession(str(packed / file), options)
        entry = session.get_inputs()[0]
        session.run(None, {entry.name: np.zeros((1, *entry.shape[1:]), np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text())
        ran = [e["name"] for e in events if e["name"].endswith("_kernel_time")]
        executed = execution.optimized(onnx.load(packed / file))
        assert len(ran) > 10
        order = execution.in_order_of_execution(executed)
        assert ran == [f"{node.name}_kernel_time" for node in order]


def test_control_flow_is_refused_by_name() -> None:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", FLOAT, [1, 4])],
    )
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["flag"], to=TensorProto.BOOL),
        helper.make_node(
            "If", ["flag"], ["y"], name="gate", then_branch=branch, else_branch=branch
        ),
    ]
    with pytest.raises(UnsupportedError, match=r"operator If \(node gate\) contains a subgraph"):
        peak_ram_kib(model(nodes, [1, 4]))


@st.composite
def schedules(draw: st.DrawFn) -> tuple[Schedule, dict[str, int]]:
    """Random graphs of views and other nodes, some with an unused or an absent output."""
    known, nodes = ["x", "c"], []
    for i in range(draw(st.integers(1, 9))):
        op = draw(st.sampled_from([*sorted(VIEWS), "Add", "Split"]))
        given = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
        outputs = [f"t{i}", draw(st.sampled_from(["", f"u{i}"]))] if op == "Split" else [f"t{i}"]
        nodes.append(helper.make_node(op, given, outputs))
        known += [name for name in outputs if name]
    outputs = draw(st.lists(st.sampled_from(known[2:]), min_size=1, max_size=2))
    sizes = {name: draw(st.integers(1, 100)) for name in known if name != "c"}
    return Schedule(nodes, ("x",), tuple(outputs), frozenset({"c"})), sizes


def simulate(schedule: Schedule, sizes: dict[str, int]) -> int:
    """Run node after node with a set of buffers; look ahead for who is still needed."""

    def buffer(name: str) -> str:
        for node in schedule.nodes:
            if name in node.output and node.op_type in VIEWS:
                return buffer(node.input[0])
        return name

    needed = [{buffer(n) for n in node.input if n} for node in schedule.nodes]
    needed.append({buffer(n) for n in schedule.outputs})
    alive, peak = {"x"}, 0
    for i, node in enumerate(schedule.nodes):
        alive |= {buffer(n) for n in node.output if n}
        peak = max(peak, sum(sizes[n] for n in alive - {"c"}))
        later = set().union(*needed[i + 1 :])
        alive = {n for n in alive if n in later}
    return peak


@given(schedules())
def test_equal_to_a_simulation_on_random_graphs(drawn: tuple[Schedule, dict[str, int]]) -> None:
    assert peak_bytes(*drawn) == simulate(*drawn)
