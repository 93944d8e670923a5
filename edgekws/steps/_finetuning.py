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
"""A tenth of what each optimizer has by itself: the network has been trained already."""

_OF_TEACHERS = ("ce_weight", "kl_weight", "temperature", "feature_weight")


class FinetuningFields(TrainedStepFields):
    """What a step may hold that trains the network of the step before it further."""

    teachers: tuple[str, ...] = Field(
        (), description="names of earlier steps whose networks teach; none: the labels alone"
    )
    training: Training = Field(
        default=Training(epochs=EPOCHS, optimizer=AdamW(lr=LR["adamw"])),
        description="how it is trained; where left out, epochs is 10 and lr a tenth of the "
        "optimizer's own",
    )
    loss: DistillationLoss = Field(
        default=DistillationLoss(),
        description="what is minimised; without teachers, its cross-entropy or focal loss alone",
    )

    @field_validator("training", mode="before")
    @classmethod
    def _gently(cls, value: Any) -> Any:
        """Let a table that leaves out `epochs` or `lr` have those of this step."""
        if not isinstance(value, dict):
            return value
        optimizer = value.get("optimizer", {})
        if isinstance(optimizer, dict) and optimizer.get("kind", "adamw") in LR:
            optimizer = {"lr": LR[optimizer.get("kind", "adamw")], **optimizer}
        return {"epochs": EPOCHS, **value, "optimizer": optimizer}

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> Self:
        # Compared by value: a recipe written back with all its defaults has to load again.
        fields = DistillationLoss.model_fields
        idle = [n for n in _OF_TEACHERS if getattr(self.loss, n) != fields[n].default]
        if idle and not self.teachers:
            raise PydanticCustomError(
                "no_effect",
                "loss.{names} has no effect without teachers; name an earlier step in teachers "
                "or take it out",
                {"names": ", loss.".join(idle)},
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
        """What is minimised: where no teachers are, the part of the loss that regards labels."""
        if self.teachers:
            return self.loss
        smoothing, gamma = self.loss.label_smoothing, self.loss.focal_gamma
        if gamma:
            return FocalLoss(gamma=gamma, label_smoothing=smoothing)
        return CrossEntropyLoss(label_smoothing=smoothing)
