"""The step `distill`: train a student on labels and teachers (Hinton et al. 2015)."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from edgekws.core.contract import Artifact, Format
from edgekws.core.job import Job, Output
from edgekws.core.protocols import AnyBackbone
from edgekws.steps._fields import TrainedStepFields
from edgekws.training.options import DistillationLoss, Training


class Step(TrainedStepFields):
    """Train a new student on the labels and on the averaged probabilities of its teachers.

    Student and teachers get the same augmented clips, each in its own representation, with the
    student's `training.masking`. With `loss.kl_weight = 0` it is a control of the same length,
    without distillation.
    """

    keeps: ClassVar[str] = "retrained"

    kind: Literal["distill"] = "distill"
    teachers: tuple[str, ...] = Field(
        min_length=1, description="earlier steps whose networks are the teachers"
    )
    backbone: AnyBackbone = Field(description='the student, e.g. { kind = "bcresnet", tau = 1 }')
    training: Training = Field(default=Training(), description="training settings of the student")
    loss: DistillationLoss = Field(default=DistillationLoss(), description="the loss")

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

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Train, and write the checkpoint; `details` holds the `history` of `training.fit`.

        Raises:
            RecipeError: a teacher's labels or front end differ, or the loss is not finite.
            DataError, MachineError, MissingPartError: as `training.fit.fit`.
            ParityError: the folded branches of the student give different logits.
        """
        from edgekws.steps._networks import load_teachers, new_network, save_trained
        from edgekws.training.fit import fit
        from edgekws.training.model import Model

        teachers = load_teachers(self.teachers, inputs, job.data)
        network, contract = new_network(self.backbone, job)
        history = fit(Model.of(network, contract), self.training, self.loss, job, teachers)
        return save_trained(network, contract, {"history": history}, job)
