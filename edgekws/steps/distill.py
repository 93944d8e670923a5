"""The step `distill`: train a student on labels and teachers (Hinton et al. 2015)."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from edgekws.core.canonical import file_state, sha256_of
from edgekws.core.contract import Artifact, Format
from edgekws.core.job import Job, Output
from edgekws.core.protocols import AnyBackbone
from edgekws.errors import Problem, RecipeError
from edgekws.steps._fields import TrainedStepFields
from edgekws.training.options import DistillationLoss, Training

UNLABELLED_WEIGHT = 0.35


class Step(TrainedStepFields):
    """Train a new student on the labels and on the averaged probabilities of its teachers.

    Student and teachers get the same augmented clips, each in its own representation, with the
    student's `training.masking`. With `loss.kl_weight = 0` it is a control of the same length,
    without distillation.

    A teacher of `embedding_teacher` gets the same augmented clips as audio, without masks; where
    mixup mixes two clips, it mixes the answers to them too.

    Of `unlabelled` recordings only the teachers' answers are used: each batch of clips is joined by
    a batch of windows, masked but not otherwise augmented, on which the loss is the KL divergence
    alone (after noisy student training, Park et al. 2021).
    """

    keeps: ClassVar[str] = "retrained"
    teacher_formats: ClassVar[tuple[Format, ...]] = ("checkpoint", "audio_teacher")

    kind: Literal["distill"] = "distill"
    teachers: tuple[str, ...] = Field(
        min_length=1, description="earlier steps whose networks are the teachers"
    )
    backbone: AnyBackbone = Field(description='the student, e.g. { kind = "bcresnet", tau = 1 }')
    training: Training = Field(default=Training(), description="training settings of the student")
    loss: DistillationLoss = Field(default=DistillationLoss(), description="the loss")
    unlabelled: tuple[Path, ...] = Field(
        (),
        description="recordings without labels, files or folders, of speech like that of the "
        "users: the student learns the teachers' answers to them; none of dev or test",
    )
    unlabelled_weight: float = Field(
        UNLABELLED_WEIGHT,
        gt=0,
        le=1e6,
        description="weight of the KL divergence on unlabelled windows, multiplied by T²",
    )

    @model_validator(mode="after")
    def _no_unused_fields(self) -> Self:
        if self.unlabelled_weight != UNLABELLED_WEIGHT and not self.unlabelled:
            raise PydanticCustomError(
                "no_effect",
                "unlabelled_weight has no effect without unlabelled; name recordings or remove it",
            )
        if self.unlabelled and self.loss.feature_weight:
            raise PydanticCustomError(
                "no_effect",
                "loss.feature_weight has no effect on unlabelled recordings; remove one of them",
            )
        return self

    @property
    def takes(self) -> None:
        """Nothing: the student is new."""
        return

    @property
    def gives(self) -> Format:
        """A checkpoint."""
        return "checkpoint"

    @property
    def named_inputs(self) -> tuple[str, ...]:
        """The teachers."""
        return self.teachers

    def fingerprint(self) -> str:
        """Return a hash of name, size and time of the unlabelled recordings.

        Raises:
            DataError: a source is missing, or holds no recordings.
        """
        if not self.unlabelled:
            return ""
        from edgekws.audio.unlabelled import recordings

        return sha256_of([file_state(path) for path in recordings(self.unlabelled)])

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Train, and write the checkpoint; `details` holds the `history` of `training.fit`.

        Raises:
            RecipeError: a teacher's labels or front end differ, or the loss is not finite.
            DataError: an unlabelled recording cannot be read, or is one of dev or test.
            DataError, MachineError, MissingPartError: as `training.fit.fit`.
            ParityError: the folded branches of the student give different logits.
        """
        from edgekws.steps._guidance import guidance
        from edgekws.steps._networks import load_teachers, new_network, save_trained
        from edgekws.training.fit import fit
        from edgekws.training.model import Model

        teachers = load_teachers(self.teachers, inputs, job.data)
        on_audio = [inputs[n] for n in self.teachers if inputs[n].format == "audio_teacher"]
        if on_audio and self.loss.feature_weight:
            message = "needs teachers that are networks on features; remove it, or the others"
            raise RecipeError([Problem("", "loss.feature_weight", message)])
        guide = guidance(
            on_audio,
            self.unlabelled,
            self.unlabelled_weight,
            self.loss.temperature,
            job,
            self.fingerprint(),
        )
        network, contract = new_network(self.backbone, job)
        model = Model.of(network, contract)
        history = fit(model, self.training, self.loss, job, teachers, guide)
        return save_trained(network, contract, {"history": history}, job)
