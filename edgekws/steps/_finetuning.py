"""The fields of steps that train a network further; importable without torch."""

from typing import Any, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from edgekws.core.contract import Format
from edgekws.steps._fields import TrainedStepFields
from edgekws.training.options import (
    AdamW,
    CrossEntropyLoss,
    DistillationLoss,
    FocalLoss,
    Training,
)

EPOCHS = 10
LR = {"adamw": 3e-4, "sgd": 1e-2}
"""A tenth of each optimizer's default: the network is already trained."""

_NEEDS_TEACHERS = ("ce_weight", "kl_weight", "temperature", "feature_weight")


class FinetuningFields(TrainedStepFields):
    """The fields of a step that continues to train the network of the previous step."""

    teachers: tuple[str, ...] = Field(
        (), description="earlier steps whose networks are the teachers; none: labels only"
    )
    training: Training = Field(
        default=Training(epochs=EPOCHS, optimizer=AdamW(lr=LR["adamw"])),
        description="training settings; epochs defaults to 10, and lr to a tenth of the "
        "optimizer's default",
    )
    loss: DistillationLoss = Field(
        default=DistillationLoss(),
        description="the loss; without teachers, only its cross-entropy or focal term",
    )

    @field_validator("training", mode="before")
    @classmethod
    def _fine_tuning_defaults(cls, value: Any) -> Any:
        """Fill in this step's `epochs` and `lr` where the table omits them."""
        if not isinstance(value, dict):
            return value
        optimizer = value.get("optimizer", {})
        if isinstance(optimizer, dict) and optimizer.get("kind", "adamw") in LR:
            optimizer = {"lr": LR[optimizer.get("kind", "adamw")], **optimizer}
        return {"epochs": EPOCHS, **value, "optimizer": optimizer}

    @model_validator(mode="after")
    def _no_unused_fields(self) -> Self:
        # Compared by value: a recipe written back with all its defaults must load again.
        fields = DistillationLoss.model_fields
        unused = [n for n in _NEEDS_TEACHERS if getattr(self.loss, n) != fields[n].default]
        if unused and not self.teachers:
            raise PydanticCustomError(
                "no_effect",
                "loss.{names} has no effect without teachers; name an earlier step in teachers "
                "or remove it",
                {"names": ", loss.".join(unused)},
            )
        return self

    @property
    def takes(self) -> Format:
        """A checkpoint, in either representation."""
        return "checkpoint"

    @property
    def gives(self) -> Format:
        """A checkpoint of the same architecture."""
        return "checkpoint"

    @property
    def named_inputs(self) -> tuple[str, ...]:
        """The teachers."""
        return self.teachers

    @property
    def minimised(self) -> CrossEntropyLoss | FocalLoss | DistillationLoss:
        """The loss to minimise: without teachers, only its term for the labels."""
        if self.teachers:
            return self.loss
        smoothing, gamma = self.loss.label_smoothing, self.loss.focal_gamma
        if gamma:
            return FocalLoss(gamma=gamma, label_smoothing=smoothing)
        return CrossEntropyLoss(label_smoothing=smoothing)
