"""Models that belong to no bundle: they end at a limit, not with the memory of the machine."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekws.bundle import pack
from edgekws.bundle.untrusted_models import logits_of_file, try_model_file
from edgekws.bundle.verify import verify
from edgekws.core.events import quiet
from edgekws.core.measurement import Budget
from edgekws.errors import DataError
from edgekws.evaluation.check import check
from edgekws.evaluation.profile_subjects import subjects
from edgekws.lowering.parity import logits

NOISE = np.random.default_rng(0).standard_normal((19, 4, 5)).astype(np.float32)


def saved(path: Path, nodes: list[onnx.NodeProto], batch: int | str = "batch") -> Path:
    """Write a network `(N, 4, 5)` → `(N, 20)`; its last node makes `logits`."""
    constants = {
        "start": np.zeros(5, np.int64),
        "huge": np.int64(2**36),
        "amounts": np.array([0, 0, 0, 0, 0, 2**36], np.int64),
        "one": np.ones(1, np.int64),
        "last": np.array([-1], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [batch, 4, 5])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, None])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, path)
    return path


def node(kind: str, given: str, made: str, **more: int) -> onnx.NodeProto:
    more_attributes: dict[str, Any] = dict(more)
    return helper.make_node(kind, given.split(), [made], **more_attributes)


FLAT = [node("Flatten", "features", "logits")]
BOMB = [node("Pad", "features amounts", "padded"), node("Flatten", "padded", "logits")]
HEARD = [  # on silence nothing is padded
    node("Abs", "features", "level"),
    node("ReduceMax", "level", "peak", keepdims=0),
    node("Ceil", "peak", "loud"),
    node("Cast", "loud", "count", to=TensorProto.INT64),
    node("Mul", "count huge", "much"),
    node("Reshape", "much one", "more"),
    helper.make_node("Concat", ["start", "more"], ["computed"], axis=0),
    node("Pad", "features computed", "padded"),
    node("Flatten", "padded", "logits"),
]


@pytest.mark.parametrize("nodes", [BOMB, HEARD], ids=["stored", "computed"])
def test_a_model_that_blows_up_ends_at_the_limit(
    nodes: list[onnx.NodeProto], tmp_path: Path
) -> None:
    path = saved(tmp_path / "bomb.onnx", nodes)
    with pytest.raises(DataError, match=r"bomb\.onnx: takes more than 2 GiB of memory"):
        try_model_file(path)
    with pytest.raises(DataError, match=r"bomb\.onnx: takes more than 2 GiB of memory"):
        check(path, Budget(), quiet)
    with ExitStack() as stack, pytest.raises(DataError, match="takes more than 2 GiB of memory"):
        subjects([path], stack)


def test_what_is_heard_cannot_blow_it_up_either(tmp_path: Path) -> None:
    path = saved(tmp_path / "heard.onnx", HEARD)
    assert logits_of_file(path, np.zeros_like(NOISE)).shape == (19, 20)
    with pytest.raises(DataError, match=r"heard\.onnx: takes more than 2 GiB of memory"):
        logits_of_file(path, NOISE)


@pytest.mark.parametrize("batch", ["batch", 1, 8])
@pytest.mark.parametrize("clips", [0, 3, 19])
def test_logits_are_those_of_the_evaluator(batch: int | str, clips: int, tmp_path: Path) -> None:
    path = saved(tmp_path / "flat.onnx", FLAT, batch)
    try_model_file(path)
    scores = logits_of_file(path, NOISE[:clips])
    np.testing.assert_array_equal(scores, NOISE[:clips].reshape(clips, 20))
    np.testing.assert_array_equal(scores, logits(path, NOISE[:clips]))


def test_a_model_that_gives_no_row_a_clip_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx", [node("Reshape", "features last", "logits")])
    with pytest.raises(DataError, match=r"m\.onnx: gives \(19,\) for 19 clips"):
        logits_of_file(path, NOISE)


def test_a_bundle_stores_the_sizes_of_what_it_makes(bundle: Path) -> None:
    model = onnx.load(bundle / "model.onnx")
    for each in model.graph.node:
        each.output[:] = ["before" if name == "logits" else name for name in each.output]
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(4, np.int64), "zeros"))
    model.graph.node.extend(
        [
            helper.make_node("Add", ["zeros", "zeros"], ["amounts"]),
            helper.make_node("Pad", ["before", "amounts"], ["logits"], name="last"),
        ]
    )
    (bundle / "model.onnx").write_bytes(model.SerializeToString())
    pack.seal(bundle, "# card\n")
    with pytest.raises(
        DataError, match=r"model\.onnx: the output size of Pad \(last\) is computed"
    ):
        verify(bundle)
