"""The step `teacher`: train on labels only, a teacher or a network that needs none."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from edgekws.core.contract import Artifact, Format
from edgekws.core.job import Job, Output
from edgekws.core.protocols import AnyBackbone
from edgekws.steps._fields import TrainedStepFields
from edgekws.training.options import CrossEntropyLoss, LabelLoss, Training


class Step(TrainedStepFields):
    """Train a new network on the labels, by cross-entropy or focal loss."""

    keeps: ClassVar[str] = "retrained"

    kind: Literal["teacher"] = "teacher"
    backbone: AnyBackbone = Field(
        description='the network, e.g. { kind = "resnet18", width = 0.25 }'
    )
    training: Training = Field(default=Training(), description="training settings")
    loss: LabelLoss = Field(
        default=CrossEntropyLoss(), description="the loss: cross_entropy or focal"
    )

    @property
    def takes(self) -> None:
        """Nothing: the network is new."""
        return

    @property
    def gives(self) -> Format:
        """A checkpoint."""
        return "checkpoint"

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Train, and write the checkpoint; `details` holds the `history` of `training.fit`.

        Raises:
            DataError, MachineError, MissingPartError, RecipeError: as `training.fit.fit`.
            ParityError: the folded branches of the network give different logits.
        """
        from edgekws.steps._networks import new_network, save_trained
        from edgekws.training.fit import fit
        from edgekws.training.model import Model

        network, contract = new_network(self.backbone, job)
        history = fit(Model.of(network, contract), self.training, self.loss, job)
        return save_trained(network, contract, {"history": history}, job)
