"""A bundle as models of ESPHome: accepted by its consumer, and near the scores of the bundle."""

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures
from tflite_micro import runtime

from edgekws.bundle.export import Exported
from edgekws.bundle.export import export as export_as
from edgekws.core.protocols import EXPORTER
from edgekws.errors import MissingPartError, UnsupportedError, UsageError
from edgekws.exporters.esphome import Exporter
from edgekws.lowering.stream_parity import StreamSession
from edgekws.runtime.front_end import FrontEnd
from edgekws.runtime.micro_front_end import SCALE, MicroFrontEnd
from edgekws.tflite.interpreter import Interpreter, arena_bytes
from edgekws.tflite.keyword import OPERATORS, check, keyword_graph
from edgekws.tflite.keyword_export import quantized
from edgekws.tflite.reading import read
from tests.int8_bundle import LABELS, noise

BOARD = """
esphome:
  name: wake
esp32:
  board: esp32-s3-devkitc-1
  framework:
    type: esp-idf
logger:
i2s_audio:
  i2s_lrclk_pin: GPIO4
  i2s_bclk_pin: GPIO5
microphone:
  platform: i2s_audio
  adc_type: external
  i2s_din_pin: GPIO6
"""

NAMES = {"да": LABELS[0], "нет___": LABELS[1]}


def export(bundle: Path, output: Path) -> Exported:
    return export_as(bundle, EXPORTER.validate_python({"kind": "esphome"}), output)


@pytest.fixture(scope="module")
def exported(micro_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(micro_bundle, tmp_path_factory.mktemp("esphome") / "out")


@pytest.fixture(scope="module")
def frames() -> NDArray[np.float32]:
    """The features `(40, T)` of four seconds of noise that rises and falls."""
    loudness = 1 + np.sin(np.arange(64_000) / 5_000)
    samples = (noise(4).ravel() * loudness / 4).astype(np.int16)
    features: NDArray[np.float32] = (MicroFrontEnd().feed(samples).T * SCALE).astype(np.float32)
    return features[:, : features.shape[1] // 2 * 2]


def test_every_keyword_has_a_pair(exported: Exported, micro_bundle: Path) -> None:
    files = {path.name for path in exported.output.iterdir()}
    pairs = {f"{name}{suffix}" for name in NAMES for suffix in (".tflite", ".json")}
    assert files == pairs | {"README.md", "esphome.yaml", "edgekws.json"}
    settings = json.loads((micro_bundle / "manifest.json").read_text("utf-8"))["detection"]
    for name, keyword in NAMES.items():
        manifest = json.loads((exported.output / f"{name}.json").read_text("utf-8"))
        micro = manifest.pop("micro")
        assert manifest["wake_word"] == keyword
        assert manifest["model"] == f"{name}.tflite"
        assert (manifest["type"], manifest["version"]) == ("micro", 2)
        assert set(manifest) >= {"author", "trained_languages", "website"}
        assert micro["probability_cutoff"] == round(settings["thresholds"][keyword], 4)
        assert micro["sliding_window_size"] == round(settings["smoothing_ms"] / 20)
        assert micro["feature_step_size"] == 10
        content = (exported.output / f"{name}.tflite").read_bytes()
        assert micro["tensor_arena_size"] >= arena_bytes(content) + 2 * 3 * 40 * 8
        assert f"model: {name}.json" in (exported.output / "esphome.yaml").read_text("utf-8")
    assert exported.verified.notes[-1].startswith("cutoffs are defaults")


def test_its_consumer_hears_what_tflm_computes(
    exported: Exported, micro_bundle: Path, frames: NDArray[np.float32]
) -> None:
    graph = read(onnx.load(micro_bundle / "stream.onnx"))
    for number, name in enumerate(NAMES):
        consumer = MicroWakeWord.from_config(exported.output / f"{name}.json")
        assert (consumer.stride, consumer.output_scale, consumer.output_zero_point) == (
            *(2, 1 / 256),
            0,
        )
        assert np.isclose(consumer.input_scale, 0.10196079, rtol=1e-7)
        assert consumer.input_zero_point == -128
        consumer.sliding_window_size = 1
        consumer._probabilities = type(consumer._probabilities)(maxlen=1)
        heard = [consumer.process_streaming_prob(frame[None, None]) for frame in frames.T][1::2]
        interpreter = Interpreter(keyword_graph(graph, number))
        inputs = np.rint(frames.T / consumer.input_scale - 128).astype(np.int8)
        computed = [
            interpreter.run(hop[None]).item() / 256 for hop in np.split(inputs, len(inputs) // 2)
        ]
        assert np.abs(np.array(heard) - computed).max() <= 2 / 256
        assert np.ptp(computed) > 0.02


def test_its_four_forms_score_alike(exported: Exported, micro_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    from tools import four_forms

    keyword, pair = four_forms.read_pair(exported.output / "нет___.json")
    assert keyword == LABELS[1]
    program = four_forms.compiled(micro_bundle, tmp_path, ("-O1",))
    samples = noise(4).ravel() // 4
    scores = four_forms.scores(four_forms.Bundle(micro_bundle, program, 1), pair.content, samples)
    assert {len(values) for values in scores.values()} == {199}
    assert (scores["onnx"] == scores["c"]).all()
    assert np.abs(scores["litert"] - scores["tflm"]).max() <= 2 / 256
    for form in ("litert", "tflm"):
        assert np.abs(scores["product"] - scores[form]).max() < 0.04
        assert np.ptp(scores[form]) > 0.02
    half = pair._replace(cutoff=0.5, window=2)
    assert four_forms.firings(np.array([0.0, 0.9, 0.3, 0.8, 0.8, 0.0, 0.9, 0.9]), half, 1) == [
        2,
        4,
        7,
    ]
    assert four_forms.firings(np.array([0.9, 0.9, 0.0, 0.0, 0.9, 0.9]), half, 9) == [1]


def test_it_is_small(exported: Exported) -> None:
    schema = runtime.schema_fb
    content = (exported.output / "да.tflite").read_bytes()
    graph = schema.Model.GetRootAsModel(content, 0).Subgraphs(0)
    names = [graph.Tensors(number).Name() for number in range(graph.TensorsLength())]
    assert max(map(len, names)) <= 2
    written = sum(path.stat().st_size for path in exported.output.glob("да.*"))
    assert written <= 10_500


def test_it_fires_where_the_mean_of_its_scores_exceeds_the_cutoff(
    exported: Exported, tmp_path: Path
) -> None:
    shutil.copytree(exported.output, tmp_path / "out")
    path = tmp_path / "out" / "да.json"
    manifest = json.loads(path.read_text("utf-8"))
    samples = noise(4).ravel()

    def hear(cutoff: float) -> list[bool | None]:
        manifest["micro"]["probability_cutoff"] = cutoff
        path.write_text(json.dumps(manifest), encoding="utf-8")
        consumer, features = MicroWakeWord.from_config(path), MicroWakeWordFeatures()
        stream = features.process_streaming(samples.tobytes())
        return [consumer.process_streaming(frame) for frame in stream]

    assert not any(hear(0.99))
    assert any(hear(0.001))


def test_esphome_accepts_the_manifests_and_the_snippet(exported: Exported, tmp_path: Path) -> None:
    esphome = shutil.which("esphome")
    if esphome is None:
        pytest.skip("no esphome on PATH: .ci/run installs it in a virtual environment of its own")
    folder = tmp_path / "out"
    shutil.copytree(exported.output, folder)
    snippet = (folder / "esphome.yaml").read_text("utf-8")
    (folder / "esphome.yaml").write_text(BOARD + snippet, encoding="utf-8")
    command = [esphome, "config", str(folder / "esphome.yaml")]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Configuration is valid!" in checked.stdout + checked.stderr
    for name in NAMES:
        assert f"path: {folder / name}.json" in checked.stdout


def test_the_score_is_the_product_over_the_other_labels(
    micro_bundle: Path, frames: NDArray[np.float32]
) -> None:
    model = onnx.load(micro_bundle / "stream.onnx")
    session = StreamSession(model)
    session.reset()
    hops = np.split(frames, frames.shape[1] // 2, axis=1)
    logits = np.concatenate([session.feed(hop) for hop in hops]).astype(np.float64)
    for keyword in range(len(LABELS)):
        interpreter = Interpreter(keyword_graph(read(model), keyword))
        scores = np.array([interpreter.run(quantized(hop)).item() / 256 for hop in hops])
        apart = np.delete(logits[:, [keyword]] - logits, keyword, axis=1)
        assert np.abs(scores - (1 / (1 + np.exp(-apart))).prod(axis=1)).max() < 0.04


def test_only_operators_of_esphome_are_used(micro_bundle: Path) -> None:
    graph = keyword_graph(read(onnx.load(micro_bundle / "stream.onnx")), 0)
    assert {operator.code for operator in graph.operators} <= OPERATORS
    foreign = graph.operators[3].__class__("TRANSPOSE", ("a",), ("b",))
    odd = graph.__class__(graph.tensors, (*graph.operators, foreign), (), graph.inputs, "b")
    with pytest.raises(UnsupportedError, match="layer b needs the operator TRANSPOSE, which ESP"):
        check(odd)
    many = graph.__class__(
        graph.tensors, graph.operators, graph.variables * 6, graph.inputs, graph.output
    )
    with pytest.raises(UnsupportedError, match="keeps 24 states; ESPHome has room for 20"):
        check(many)


def test_another_front_end_is_refused(micro_bundle: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(micro_bundle, tmp_path / "bundle"))
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["contract"]["front_end"] = FrontEnd(n_fft=480).to_dict()
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(UnsupportedError, match="is log_mel, but ESPHome computes microfrontend"):
        Exporter().write(folder, tmp_path)


def test_without_a_streaming_network_it_is_refused(micro_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(micro_bundle, folder)
    (folder / "stream.onnx").unlink()
    with pytest.raises(UsageError, match=r"no stream\.onnx, the streaming network; add a step"):
        Exporter().write(folder, tmp_path)


def test_a_bundle_without_onnx_models_is_refused(micro_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(micro_bundle, folder)
    (folder / "stream.onnx").rename(folder / "stream.ort")
    (folder / "model.onnx").rename(folder / "model.ort")
    with pytest.raises(UsageError, match=r"holds model\.ort, not model\.onnx; export the bundle"):
        Exporter().write(folder, tmp_path)


def test_models_of_others_beside_an_export_are_not_replaced(
    exported: Exported, tmp_path: Path
) -> None:
    exporter: Any = EXPORTER.validate_python({"kind": "esphome"})
    folder = tmp_path / "out"
    shutil.copytree(exported.output, folder)
    exporter.check_output(folder)
    (folder / "okay_nabu.json").write_text("{}")
    with pytest.raises(UsageError, match=r"holds okay_nabu\.json, which is no file of an export"):
        exporter.check_output(folder)
    (folder / "okay_nabu.json").unlink()
    (folder / "edgekws.json").write_text('{"models": []}')
    with pytest.raises(UsageError, match=r"which is no file of an export to ESPHome"):
        exporter.check_output(folder)


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    exporter: Any = EXPORTER.validate_python({"kind": "esphome"})
    (tmp_path / "README.md").write_text("x")
    with pytest.raises(UsageError, match=r"is a folder that holds no edgekws\.json"):
        exporter.check_output(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match=r"holds notes\.txt, which is no file of an export"):
        exporter.check_output(tmp_path)


def test_the_package_is_named_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    exporter: Any = EXPORTER.validate_python({"kind": "esphome"})
    with pytest.raises(MissingPartError, match=r"pip install 'edgekws\[tflite\]'"):
        exporter.check_output(tmp_path / "out")
