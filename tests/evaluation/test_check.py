"""What `check` can judge of a model alone, and what of a bundle."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgekws.bundle.device_files import bundle_size_kib
from edgekws.bundle.verify import RUNTIME
from edgekws.core.events import Event
from edgekws.core.measurement import BUNDLE_METRICS, Budget, Limit, Measurement
from edgekws.errors import DataError
from edgekws.evaluation import check as module
from edgekws.evaluation.check import check
from edgekws.recipe.load import Loaded

LIMITS = Budget(
    (
        Limit("bundle_size_kib", "max", 1_000),
        Limit("total_macs", "max", 1),
        Limit("front_end_peak_ram_kib", "max", 1_000),
    )
)


def test_a_bundle_is_judged_as_a_whole(packed: Path) -> None:
    result, verdicts = check(packed, LIMITS, lambda event: None)
    value = {m.metric: m.value for m in result}
    assert [verdict.ok for verdict in verdicts] == [True, False, True]
    assert verdicts[0].measured == bundle_size_kib(packed)
    assert value["total_macs"] == value["macs"] + value["front_end_macs"]
    assert value["size_kib"] < value["bundle_size_kib"]


def test_a_model_alone_fails_what_only_a_bundle_has(packed: Path) -> None:
    events: list[Event] = []
    _, verdicts = check(packed / "model.onnx", LIMITS, events.append)
    assert [(verdict.ok, verdict.measured) for verdict in verdicts] == [(False, None)] * 3
    (warning,) = (event.text for event in events if event.kind == "warning")
    assert warning == (
        f"{packed / 'model.onnx'} is a network alone, so these cannot be measured: bundle_size_kib,"
        " front_end_peak_ram_kib, total_macs; name the folder of its bundle"
    )


def test_a_bundle_shows_its_front_end_unasked(packed: Path) -> None:
    result, verdicts = check(packed, Budget(), lambda event: None)
    metrics = {m.metric for m in result}
    assert {"size_kib", "front_end_size_kib", "bundle_size_kib", "total_peak_ram_kib"} <= metrics
    assert verdicts == ()
    alone, _ = check(packed / "model.onnx", Budget(), lambda event: None)
    assert not {m.metric for m in alone} & set(BUNDLE_METRICS)


def test_misses_and_false_alarms_are_those_of_a_bundle_on_the_data_of_its_recipe(
    packed: Path, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Budget((Limit("miss_rate", "max", 0.1), Limit("false_alarms_per_hour", "max", 2)))
    for model, recipe in ((packed, None), (packed / "model.onnx", loaded)):
        events: list[Event] = []
        _, verdicts = check(model, asked, events.append, recipe)
        assert [verdict.measured for verdict in verdicts] == [None, None]
        (warning,) = (e.text for e in events if "miss_rate" in e.text)
        assert warning == (
            "false_alarms_per_hour, miss_rate: measured of a bundle, on the data of its recipe; "
            "name its folder, and the recipe with --recipe"
        )

    def judge(bundle: Path, runtime: Path, split: str, *_: object) -> object:
        assert (bundle, runtime, split) == (packed, RUNTIME, "dev")
        return (Measurement("miss_rate", 0.05), Measurement("false_alarms_per_hour", 3)), {}

    monkeypatch.setattr(module, "judge", judge)
    _, verdicts = check(packed, asked, lambda event: None, loaded)
    assert [(verdict.measured, verdict.ok) for verdict in verdicts] == [(0.05, True), (3, False)]


def network(batch: int | str) -> onnx.ModelProto:
    """Return a graph of 600 KiB from `(batch, 300)` to `(batch, 512)`."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [batch, 300])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [batch, 512])],
        [numpy_helper.from_array(np.ones((300, 512), np.float32), "w")],
    )
    opsets = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def test_weights_beside_the_file_weigh_as_much_as_those_inside(tmp_path: Path) -> None:
    inside, outside = tmp_path / "a.onnx", tmp_path / "b.onnx"
    onnx.save(network("batch"), inside)
    onnx.save(network("batch"), outside, save_as_external_data=True, location="b.onnx.data")
    budget = Budget((Limit("size_kib", "max", 100),))
    one, two = (check(file, budget, lambda event: None)[1][0] for file in (inside, outside))
    files = (outside, tmp_path / "b.onnx.data")
    assert two.measured == sum(file.stat().st_size for file in files) / 1024
    assert (one.ok, two.ok) == (False, False)
    assert two.measured == pytest.approx(one.measured, rel=0.01)
    files[1].unlink()
    with pytest.raises(
        DataError, match=r"b\.onnx\.data: no such file; b\.onnx stores weights there"
    ):
        check(outside, budget, lambda event: None)


def test_a_fixed_batch_counts_as_one_sample(tmp_path: Path) -> None:
    result = {}
    warnings: list[str] = []
    for batch in (1, 8):
        onnx.save(network(batch), tmp_path / "m.onnx")
        measured, _ = check(
            tmp_path / "m.onnx", Budget(), lambda event: warnings.append(event.text)
        )
        result[batch] = {m.metric: m.value for m in measured if m.metric != "size_kib"}
    assert result[1] == result[8]
    assert result[8]["macs"] == 300 * 512
    assert [w for w in warnings if "at once" in w] == [
        f"{tmp_path / 'm.onnx'} takes 8 samples at once: MACs and peak memory are those of one, "
        "latencies those of all 8; export it with a batch of 1"
    ]
