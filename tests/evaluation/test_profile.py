"""Profiles: what is measured, what adds up, and when there is no verdict."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from edgekws.core.events import Event
from edgekws.errors import DataError, UsageError
from edgekws.evaluation.profile import operators, profile
from edgekws.evaluation.profile_subjects import subjects
from edgekws.evaluation.profiled import judged
from edgekws.runtime import operator_times
from edgekws.targets.host import Target
from tests import profiles
from tests.tone_bundle import make


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("profile"), streaming=False)


def test_a_bundle_beside_itself(bundle: Path) -> None:
    reported: list[Event] = []
    built = profile([bundle, bundle], Target(seconds=0.01, processes=3, warmup=1), reported.append)
    assert built.subjects == (str(bundle), f"{bundle} (2)")
    for subject in built.subjects:
        whole = built.timing(subject, "audio → label")
        ends = built.timing(subject, "front end"), built.timing(subject, "network")
        assert whole is not None
        assert ends[0] is not None
        assert ends[1] is not None
        assert whole.p50_us > max(ends[0].p50_us, ends[1].p50_us) * 0.8
        assert built.timing(subject, "network", "I/O binding") is not None
        assert sum(built.parts(subject).values()) == pytest.approx(1)
    floor = built.timing("floor", "floor")
    assert floor is not None
    assert floor.p50_us < 1e3
    for one in built.operators:
        timed = built.timing(one.subject, one.what)
        assert timed is not None
        spent = one.call_us + sum(node.us for node in one.nodes)
        assert spent == pytest.approx(timed.p50_us)
        assert len(one.nodes) > 1
    assert {m.metric for m in built.weights[0].measurements} >= {"params", "macs", "peak_ram_kib"}
    assert built.fingerprint["versions"]["onnxruntime"] == built.fingerprint["onnxruntime"]
    assert [r.what for r in built.ratios] == (
        ["network", "front end", "audio → label"] if built.level else []
    )
    assert ("no verdict" in built.sentences[0]) != built.level


def test_what_can_be_profiled(bundle: Path, tmp_path: Path) -> None:
    run = tmp_path / "run" / "latest"
    for name in ("baseline/naive_fp32.onnx", "02-b/model.onnx", "01-a/model.onnx"):
        (run / name).parent.mkdir(parents=True)
        (run / name).touch()
    (run / "report.json").touch()
    with ExitStack() as stack:
        named = subjects([tmp_path / "run"], stack)
        assert [one.name for one in named] == ["baseline", "01-a", "02-b"]
        (one,) = subjects([bundle], stack)
        assert (one.model, one.front_end) == (bundle / "model.onnx", bundle / "frontend.onnx")
        (one,) = subjects([bundle / "model.onnx"], stack)
        assert one.front_end is None
        with pytest.raises(UsageError, match="a run is profiled alone; name the"):
            subjects([bundle, run], stack)
        with pytest.raises(DataError, match=r"none\.onnx: no such model"):
            subjects([tmp_path / "none.onnx"], stack)
        (run / "baseline" / "naive_fp32.onnx").unlink()
        with pytest.raises(DataError, match="no model of a step, or no baseline"):
            subjects([run], stack)


def test_operators_lose_what_the_profiler_costs_and_sum_to_the_median() -> None:
    nodes = [{"name": n, "op": "Conv", "us": us} for n, us in (("a", 9.0), ("b", 12.0), ("c", 6.0))]
    built = operators("m", "network", {"nodes": nodes, "runs": 7}, p50_us=14.0, call_us=5.0)
    assert built.profiler_us == pytest.approx(6.0)
    assert [node.us for node in built.nodes] == pytest.approx([3.0, 6.0, 0.0])
    assert [node.share for node in built.nodes] == pytest.approx([3 / 14, 6 / 14, 0])


def test_rounding_of_the_profiler_cancels() -> None:
    """Nodes of 0.4 µs and 1.7 µs, started at any phase and written down in whole microseconds."""
    events, now = [], 0.0
    for _ in range(4000):
        now += 3.37
        begin = now
        for name, us in (("a", 0.4), ("b", 1.7)):
            args = {"op_name": "Add"}
            events.append({"cat": "Node", "name": f"{name}_kernel_time", "ts": int(now)}
                          | {"dur": int(us), "args": args})  # fmt: skip
            now += us
        span = {"ts": int(begin), "dur": int(now) - int(begin), "args": {}, "cat": "Session"}
        events += [span | {"name": name} for name in ("SequentialExecutor::Execute", "model_run")]
    reported = operator_times.node_times(events, 10)
    assert [node["us"] for node in reported["nodes"]] == pytest.approx([0.4, 1.7], abs=0.05)


def test_sentences_and_verdicts() -> None:
    two = profiles.profile(two=True)
    assert two.sentences[0] == (
        "network: <b>b.onnx takes 0.833 × the time of музыка.onnx [0.810, 0.850]: faster"
    )
    assert two.sentences[1].endswith("1.001 × itself [0.990, 1.010]: level")
    (uneven,) = profiles.profile(two=True, level=False).sentences
    assert uneven.startswith("no verdict: музыка.onnx measured 1.040 × itself [1.020, 1.060]")
    assert judged((1.01, 1.02)) == "slower"
    with pytest.raises(UsageError, match="profile needs a model"):
        profile([], Target(), lambda event: None)
