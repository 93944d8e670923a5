"""What a plan does without the machine that it would measure on."""

import itertools
from pathlib import Path

import onnx
import pytest

from edgekws.audio.front_end_graph import front_end_model
from edgekws.core.contract import Normalization
from edgekws.core.events import quiet
from edgekws.engine.plan import cannot_be_met, plan
from edgekws.engine.run import compress
from edgekws.errors import BudgetError
from edgekws.lowering import export
from edgekws.metrics import graph
from edgekws.recipe.load import load
from edgekws.runtime.front_end import FrontEnd
from tests.contracts.test_datasets import record
from tests.loopback_sshd import free_port


def test_an_unreachable_target_costs_the_latencies_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "cache"))
    for word, speaker in itertools.product(("yes", "no"), range(4)):
        record(tmp_path / "words" / word / f"s{speaker}_1.wav", speaker + len(word))
    file = tmp_path / "small.toml"
    file.write_text(f"""
schema = 1
name = "small"
dataset = {{ kind = "folder", root = "{tmp_path / "words"}", spoken = {{ language = "de" }} }}
target = {{ kind = "ssh", host = "127.0.0.1", port = {free_port()} }}
budget = {{ max_params = 1, max_latency_p50_us = 100, max_total_macs = 5, max_bundle_size_kib = 9 }}
[[steps]]
kind = "teacher"
backbone = {{ kind = "inverted_bottleneck" }}
""")
    reported = plan(load(file), lambda event: None)
    (row,) = reported.rows
    assert row.params > 1
    assert row.latency_p50_us is None
    counted = ["params", "total_macs", "bundle_size_kib"]
    assert [verdict.limit.metric for verdict in reported.verdicts] == counted
    said = "spoken by espeak in language 'de'; minutes: train 60, dev 60, test 60"
    assert f"sentences without a keyword: {said}" in reported.notes
    assert "dev: 1 speaker: read it with care" in reported.notes
    assert not (tmp_path / "cache" / "sentences").exists()
    why, later = reported.notes[-2:]
    params, macs, whole = reported.broken
    assert why.startswith("latency is not estimated: 127.0.0.1 cannot be reached: nothing listens")
    margin = f"−{100 * (row.params - 1):.1f} %"
    cannot = "max_params = 1 cannot be met: the final model has"
    assert params == f"{file}:6: {cannot} {row.params:,.0f} ({margin})"
    assert f"{file}:6: max_total_macs = 5 cannot be met: the bundle has " in macs
    assert "max_bundle_size_kib = 9 cannot be met: the bundle has" in whole
    assert "max_latency_p50_us" in later
    value = {m.metric: m.value for m in reported.bundle}
    assert value["total_macs"] == value["macs"] + value["front_end_macs"]
    assert value["front_end_size_kib"] + value["size_kib"] < value["bundle_size_kib"]
    assert not any("latency" in metric for metric in value)


def test_the_bundle_is_foretold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a plan says of the front end is what its bundle will have, to the byte."""
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "small.toml"
    file.write_text("""
schema = 1
name = "small"
dataset = { kind = "synthetic", keywords = ["yes", "no"] }
front_end = { window_s = 0.5 }
target = { kind = "host", seconds = 0.05 }
[[steps]]
kind = "teacher"
backbone = { kind = "inverted_bottleneck" }
""")
    value = {m.metric: m.value for m in plan(load(file), lambda event: None).bundle}
    front_end = FrontEnd(window_s=0.5)
    graph_file = tmp_path / "frontend.onnx"
    measured = Normalization((-2.4424244288895,) * 40, (3.341573726496455,) * 40)
    onnx.save(front_end_model(front_end, measured), str(graph_file))
    assert value["front_end_size_kib"] == graph_file.stat().st_size / 1024
    assert value["front_end_macs"] == graph.macs(graph_file) / 0.5
    assert value["total_latency_p50_us"] > value["front_end_latency_p50_us"] > 0


CHAIN = """
schema = 1
name = "small"
dataset = {{ kind = "synthetic", keywords = ["yes", "no"] }}
target = {{ kind = "host", seconds = 0.05 }}
budget = {{ {limits} }}
[[steps]]
kind = "teacher"
backbone = {{ kind = "inverted_bottleneck" }}
budget = {{ {step} }}
[[steps]]
kind = "export"
"""


@pytest.mark.parametrize(
    ("limits", "step", "broken"),
    [
        ("max_size_kib = 5", "", ["6: max_size_kib = 5 cannot be met: the final model has "]),
        ("max_latency_p50_us = 0.001, min_accuracy = 1", "", []),
        ("max_params = 1e6", "max_macs = 7", ['10: max_macs = 7 cannot be met: "teacher" has ']),
        ("max_params = 1e6", "min_accuracy = 1, max_params = 1e6", []),
    ],
)
def test_what_no_training_can_meet_is_told_once_and_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: str, step: str, broken: list[str]
) -> None:
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "small.toml"
    file.write_text(CHAIN.format(limits=limits, step=step))
    result = cannot_be_met(load(file), lambda event: None)
    assert len(result) == len(broken)
    for line, start in zip(result, broken, strict=True):
        assert line.startswith(f"{file}:{start}")
    if broken:
        with pytest.raises(BudgetError, match="--keep-going trains anyway") as reported:
            compress(load(file), runs=tmp_path / "runs", dist=tmp_path / "dist", emit=quiet)
        assert str(reported.value).count("cannot be met") == 1
        assert not (tmp_path / "runs").exists()


def test_a_size_close_to_its_limit_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "small.toml"
    file.write_text(CHAIN.format(limits="max_params = 1e6", step=""))
    size_kib = plan(load(file), quiet).rows[-1].size_kib
    close = load(file, [f"budget.max_size_kib={size_kib * 0.95}"])
    assert cannot_be_met(close, quiet) == ()
    built = plan(close, quiet)
    assert built.broken == ()
    assert any("max_size_kib" in note and "may not be met" in note for note in built.notes)


def test_what_does_not_change_the_network_exports_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "small.toml"
    file.write_text(CHAIN.format(limits="max_params = 1", step=""))
    before = cannot_be_met(load(file), quiet)

    def fail(*_: object) -> None:
        raise AssertionError("exported again")

    monkeypatch.setattr(export, "export_lowered", fail)
    longer = load(file, ["steps.teacher.training.epochs=77", "dataset.clips_per_keyword=50"])
    assert cannot_be_met(longer, quiet) == before != ()
    for change in ("seed=8", "steps.teacher.backbone.channels=20", "front_end.n_mels=32"):
        with pytest.raises(AssertionError, match="exported again"):
            cannot_be_met(load(file, [change]), quiet)
