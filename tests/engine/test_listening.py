"""What a bundle hears in streams, by its own runtime in processes of their own."""

import json
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from edgekws.bundle.declared import read_json
from edgekws.core.contract import Artifact
from edgekws.core.events import quiet
from edgekws.core.job import Job
from edgekws.core.protocols import STEP
from edgekws.core.table import csv_text
from edgekws.engine import listening
from edgekws.errors import MachineError
from edgekws.lowering import onnx_file
from edgekws.runtime.detect import Detector
from edgekws.spotting.held_out import NOTES, TABLE, read_streams
from edgekws.spotting.results import evaluate_settings, from_details
from edgekws.spotting.scores import listen, read_scores
from tests.tone_bundle import BURST_S, RATE, TONES, track

LOW, HIGH = TONES
SAID = [{0.7: LOW, 3.1: HIGH}, {1.2: HIGH, 4.0: LOW}, {2.0: LOW}, {}]


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    rows: list[tuple[object, ...]] = [("file", "keyword", "start_s", "end_s", "speaker")]
    for number, said in enumerate(SAID):
        name = f"{number}.wav"
        soundfile.write(folder / name, track(6.0, said, seed=number), RATE, subtype="PCM_16")
        rows.append((name, "", "", "", f"b{number}"))
        rows += [(name, word, t, t + BURST_S, f"s{number}") for t, word in said.items()]
    (folder / TABLE).write_text(csv_text(rows), "utf-8", newline="")
    (folder / NOTES).write_text(json.dumps(["dev: a note"]), "utf-8")
    return folder


@pytest.fixture
def source(streams: Path) -> Any:
    return SimpleNamespace(streams_key=lambda split: f"of {split}", streams=lambda split: streams)


def with_settings(bundle: Path, target: Path, **settings: Any) -> Path:
    shutil.copytree(bundle, target)
    manifest = read_json(target / "manifest.json")
    manifest["detection"] |= settings
    (target / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return target


def test_processes_hear_what_this_one_hears(
    tone_bundle: Path, streams: Path, source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "PART_S", 6.0)
    detected = read_scores(
        listening.hear(tone_bundle, tone_bundle / "detect.py", "dev", source, tmp_path, quiet)
    )
    manifest = read_json(tone_bundle / "manifest.json")
    here = listen(Detector(tone_bundle), manifest, read_streams(streams), quiet)
    assert all(np.array_equal(a, b) for a, b in zip(detected.counts, here.counts, strict=True))
    settings = manifest["detection"]
    assert evaluate_settings(detected, settings, 0.25) == evaluate_settings(here, settings, 0.25)
    assert detected.people.speakers == 3


def test_other_thresholds_are_judged_on_what_was_heard_before(
    tone_bundle: Path, source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, _ = listening.judge(
        tone_bundle, tone_bundle / "detect.py", "test", source, tmp_path / "cache", quiet
    )
    monkeypatch.setattr(listening, "run_child", None)
    deaf = with_settings(tone_bundle, tmp_path / "deaf", thresholds=dict.fromkeys(TONES, 2.0))
    none, details = listening.judge(
        deaf, deaf / "detect.py", "test", source, tmp_path / "cache", quiet
    )
    assert {m.metric: m.value for m in result}["miss_rate"] == 0
    assert {m.metric: m.value for m in none} == {"miss_rate": 1, "false_alarms_per_hour": 0}
    (miss_rate, alarms) = none
    assert (miss_rate.n, miss_rate.speakers, alarms.speakers) == (5, 3, 4)
    assert details["speech"][0].startswith("no false alarm in 19 s shows fewer than")
    assert miss_rate.ci95 is not None
    doubt = f"between {100 * miss_rate.ci95[0]:.1f} and 100.0 % (95 %)"
    assert details["speech"][1:] == [f"5 of 5 keywords missed: 100.0 %, {doubt}", "dev: a note"]
    built = from_details(details)
    assert built is not None
    assert built.total.misses == 5


def test_a_delay_is_what_the_runtime_makes_of_it(
    tone_bundle: Path, streams: Path, source: Any, tmp_path: Path
) -> None:
    result, details = listening.judge(
        tone_bundle, tone_bundle / "detect.py", "test", source, tmp_path, quiet
    )
    detector, late = Detector(tone_bundle), []
    for one in read_streams(streams):
        samples, _ = soundfile.read(one.path, dtype="float32")
        ends = [i.end_s for i in one.labels if i.end_s]
        places = range(0, len(samples), 320)
        reported = [n + 320 for n in places if detector.feed(samples[n : n + 320])]
        late += [n / RATE - end for n, end in zip(reported, ends, strict=True)]
        detector.flush()
    (delay,) = (m for m in result if m.metric == "detection_delay_ms")
    assert len(late) == delay.n == 5
    assert delay.value == pytest.approx(1000 * float(np.median(late)), abs=40)
    built = from_details(details)
    assert built is not None
    assert built.total.delay_p90_ms is not None
    assert built.total.delay_p90_ms >= delay.value


def test_a_runtime_that_fails_says_so(tone_bundle: Path, source: Any, tmp_path: Path) -> None:
    broken = with_settings(tone_bundle, tmp_path / "broken")
    (broken / "detect.py").write_text("raise ValueError('no ears')")
    with pytest.raises(MachineError, match=r"(?s)runtime failed in continuous audio.*no ears"):
        listening.hear(broken, broken / "detect.py", "dev", source, tmp_path / "cache", quiet)


def test_calibrate_chooses_for_a_rate_and_leaves_the_model_alone(
    tone_bundle: Path, source: Any, tmp_path: Path
) -> None:
    step: Any = STEP.validate_python({"kind": "calibrate"})
    assert (step.takes, step.gives, step.also_takes) == ("onnx", "detection", ("stream",))
    assert step.for_budget({}).false_alarms_per_hour == 2
    assert step.for_budget({"max_false_alarms_per_hour": 5}).false_alarms_per_hour == 5
    own: Any = STEP.validate_python({"kind": "calibrate", "false_alarms_per_hour": 0})
    own = own.for_budget({"max_false_alarms_per_hour": 5})
    assert own.false_alarms_per_hour == 0

    detected = listening.hear(
        tone_bundle, tone_bundle / "detect.py", "dev", source, tmp_path / "cache", quiet
    )
    asked: list[tuple[Path, Path | None]] = []

    def hear(model: Path, stream: Path | None) -> Path:
        asked.append((model, stream))
        return detected

    no_data: Any = None
    streams = partial(source.streams, "dev")
    job = Job(no_data, 0, "cpu", 1, tmp_path, quiet, listen=hear, streams=streams)
    model, stream = tone_bundle / "model.onnx", tone_bundle / "stream.onnx"
    before = model.read_bytes()
    contract: Any = None
    inputs = {"input": Artifact("onnx", model, "", contract)}
    inputs["stream"] = Artifact("stream", stream, "", contract)
    output = own.run(inputs, job)
    assert asked == [(model, stream)]
    assert model.read_bytes() == before
    settings = json.loads(output.path.read_text("utf-8"))
    assert settings["source"] == "calibrated"
    assert set(settings["thresholds"]) == set(TONES)
    assert settings["calibration"]["max_fa_per_hour"] == 0
    assert len(settings["calibration"]["streams_sha256"]) == 64
    built = from_details(output.details)
    assert built is not None
    assert (built.total.misses, built.total.false_alarms) == (0, 0)
    assert built.notes[0] == "dev: a note"
    assert output.details["allowed_per_hour"] == 0
    assert output.details["shown"][0].startswith("no false alarm in 19 s shows fewer than")


def test_a_model_alone_is_packed_to_be_heard(packed: Path, source: Any, tmp_path: Path) -> None:
    _, contract = onnx_file.load(packed / "model.onnx")
    folder = listening.listen("dev", source, tmp_path, quiet, packed / "model.onnx", None)
    scores = read_scores(folder)
    assert scores.keywords == ("да", "нет")
    assert scores.window_s == contract.front_end.window_s
    assert len(scores.counts) == len(SAID)
