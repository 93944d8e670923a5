"""Every model processes the clips with the front end of its own contract."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
import soxr

from edgekws.bundle import pack
from edgekws.core.contract import Normalization
from edgekws.core.events import Event, quiet
from edgekws.errors import DataError
from edgekws.evaluation.evaluation_set import EvaluationSet
from edgekws.evaluation.models import model_logits
from edgekws.lowering import stream_state
from edgekws.lowering.stream_state import Stream
from edgekws.recipe.load import Loaded
from edgekws.runtime.detect import fit_window
from edgekws.runtime.front_end import FrontEnd, log_mel

OWN = Normalization((-5.0,) * 10, (2.0,) * 10)


def expected(model: Any, tones: Path, clips: EvaluationSet) -> np.ndarray:
    """Compute the logits clip by clip with numpy, from the files."""
    front_end, normalization = model.contract.front_end, model.contract.normalization
    rows = []
    for name in clips.examples.names:
        samples, rate = soundfile.read(tones.parent / Path(name).name, dtype="float32")
        wave = soxr.resample(samples, rate, front_end.sample_rate)
        features = log_mel(fit_window(wave, front_end.window_samples), front_end)
        mean, std = np.array(normalization.mean), np.array(normalization.std)
        rows.append(((features - mean[:, None]) / std[:, None]).mean(axis=1) @ model.matrix)
    return np.array(rows)


def test_a_model_of_the_recipe_gets_the_recipes_own_features(loaded: Loaded, linear: Any) -> None:
    events: list[Event] = []
    clips = EvaluationSet(loaded, "dev", events.append)
    data = clips._data
    model = linear("m.onnx", data.front_end, data.normalization)
    np.testing.assert_allclose(
        clips.logits(model.path), clips.examples.features.mean(axis=2) @ model.matrix, atol=1e-5
    )
    assert clips.labels == ("да", "нет")
    assert len(clips.examples) == 12
    assert not [event for event in events if event.kind == "warning"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "was trained on other clips than the recipe gives"),
        ({"n_mels": 8}, r"its own front end \(n_mels = 8 instead of 10\)"),
        ({"sample_rate": 6000, "f_max": 3000.0}, r"\(sample_rate = 6000 instead of 8000, f_max"),
        ({"window_s": 0.5}, r"\(window_s = 0\.5 instead of 1"),
    ],
)
def test_another_front_end_is_that_of_the_contract(
    loaded: Loaded, tones: Path, linear: Any, changes: dict[str, Any], told: str
) -> None:
    events: list[Event] = []
    clips = EvaluationSet(loaded, "dev", events.append)
    own: FrontEnd = replace(clips._data.front_end, **changes)
    size = own.n_mels
    model = linear("m.onnx", own, Normalization(OWN.mean[:size], OWN.std[:size]))
    result = clips.logits(model.path)
    np.testing.assert_allclose(result, expected(model, tones, clips), atol=1e-3)
    (warning,) = [event.text for event in events if event.kind == "warning"]
    assert re.search(told, warning)
    assert "clips of dev may be among those" in warning


def test_on_test_no_clip_can_have_been_heard(loaded: Loaded, linear: Any) -> None:
    events: list[Event] = []
    clips = EvaluationSet(loaded, "test", events.append)
    clips.logits(linear("m.onnx", clips._data.front_end, OWN).path)
    (warning,) = [event.text for event in events if event.kind == "warning"]
    assert "dev" not in warning


def test_labels_in_another_order_are_put_in_the_recipes(loaded: Loaded, linear: Any) -> None:
    clips = EvaluationSet(loaded, "dev", quiet)
    front_end, normalization = clips._data.front_end, clips._data.normalization
    plain = linear("a.onnx", front_end, normalization)
    turned = linear("b.onnx", front_end, normalization, labels=("нет", "да"))
    expected = clips.logits(plain.path)[:, ::-1]
    np.testing.assert_allclose(clips.logits(turned.path), expected)
    np.testing.assert_allclose(model_logits(turned.path, clips._data, clips.examples), expected)


def test_a_streaming_graph_is_refused(loaded: Loaded, linear: Any) -> None:
    clips = EvaluationSet(loaded, "dev", quiet)
    path = linear("stream.onnx", clips._data.front_end, clips._data.normalization).path
    model = onnx.load(path)
    model.metadata_props.add(key=stream_state.KEY, value=Stream(2, 98, ()).to_json())
    onnx.save(model, path)
    message = r"stream\.onnx takes hops of audio, not clips; name the model\.onnx next to it"
    for logits in (clips.logits, lambda file: model_logits(file, clips._data, clips.examples)):
        with pytest.raises(DataError, match=message):
            logits(path)


def test_other_labels_are_refused(loaded: Loaded, linear: Any) -> None:
    clips = EvaluationSet(loaded, "dev", quiet)
    model = linear("m.onnx", clips._data.front_end, OWN, labels=("да", "no"))
    message = r"m\.onnx knows да, no, but the recipe's data has да, нет; name the recipe"
    with pytest.raises(DataError, match=message):
        clips.logits(model.path)


def test_a_model_without_contract_is_refused(loaded: Loaded, linear: Any) -> None:
    clips = EvaluationSet(loaded, "dev", quiet)
    model = linear("m.onnx", clips._data.front_end, OWN)
    bare = onnx.load(model.path)
    del bare.metadata_props[:]
    onnx.save(bare, model.path)
    with pytest.raises(DataError, match=r"m\.onnx has no contract: its labels and its front end"):
        clips.logits(model.path)


def test_bundles_zips_and_runs_are_models(loaded: Loaded, linear: Any, tmp_path: Path) -> None:
    clips = EvaluationSet(loaded, "dev", quiet)
    front_end, normalization = clips._data.front_end, clips._data.normalization
    model = linear("bundle/model.onnx", front_end, normalization)
    linear("run/09-quantize/model.onnx", front_end, normalization, seed=1)
    last = linear("run/10-simplify/model.onnx", front_end, normalization)
    (tmp_path / "run" / "report.json").write_text("{}")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "latest").symlink_to(tmp_path / "run")
    (tmp_path / "sealed").mkdir()
    windows = clips._data.waveforms("dev")[:2]
    pack.pack(tmp_path / "sealed", model.path, model.contract, windows, {"recipe": "tones"})
    pack.seal(tmp_path / "sealed", "# card\n")
    shutil.make_archive(str(tmp_path / "b"), "zip", tmp_path / "sealed")
    want = clips.logits(last.path)
    for name in ("bundle", "sealed", "b.zip", "run", "runs"):
        np.testing.assert_array_equal(clips.logits(tmp_path / name), want)
    shutil.rmtree(tmp_path / "run" / "09-quantize")
    shutil.rmtree(tmp_path / "run" / "10-simplify")
    with pytest.raises(DataError, match="run: no step of this run left a model; run compress"):
        clips.logits(tmp_path / "run")
    (tmp_path / "b.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"b\.zip: not a zip archive, or a damaged one"):
        clips.logits(tmp_path / "b.zip")
    with (tmp_path / "sealed" / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match=r"sealed: model\.onnx is not the file that was packed"):
        clips.logits(tmp_path / "sealed")
    with pytest.raises(DataError, match=r"none\.onnx: no such model"):
        clips.logits(tmp_path / "none.onnx")
