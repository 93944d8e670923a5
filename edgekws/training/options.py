"""What a recipe says about training: optimizer, schedule, losses. Imports no torch."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from edgekws.core.fields import Fields
from edgekws.core.kinds import closest


class AdamW(Fields):
    """AdamW (Loshchilov and Hutter 2019)."""

    kind: Literal["adamw"] = Field(default="adamw", description="which optimizer")
    lr: float = Field(default=3e-3, gt=0, le=100, description="learning rate after the warm-up")
    weight_decay: float = Field(
        default=1e-2,
        ge=0,
        le=100,
        description="decoupled decay of the weights; biases and BatchNorm have none",
    )


class SGD(Fields):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"] = Field(default="sgd", description="which optimizer")
    lr: float = Field(default=0.1, gt=0, le=100, description="learning rate after the warm-up")
    weight_decay: float = Field(
        default=1e-4,
        ge=0,
        le=100,
        description="decay of the weights; biases and BatchNorm have none",
    )
    momentum: float = Field(
        default=0.9, ge=0, lt=1, description="share of the last step that is kept"
    )


def _one_of(what: str, tables: Mapping[str, type[Fields]]) -> BeforeValidator:
    """Validate by `kind` (the first where absent), with the errors that `core.family` gives."""

    def choose(value: Any) -> Any:
        if isinstance(value, BaseModel):
            return value
        if not isinstance(value, dict):
            raise PydanticCustomError("member_table", 'expected a table with a "kind"')
        kind = value.get("kind", next(iter(tables)))
        if not isinstance(kind, str) or kind not in tables:
            hint = closest(str(kind), tuple(tables))
            ctx = {"what": what, "kind": repr(kind), "hint": hint}
            raise PydanticCustomError("member_kind", "no {what} is called {kind}{hint}", ctx)
        try:
            return tables[kind].model_validate(value)
        except ValidationError as error:
            raise PydanticCustomError(
                "member", "is not valid", {"errors": error.errors()}
            ) from error

    return BeforeValidator(choose)


Optimizer = Annotated[AdamW | SGD, _one_of("optimizer", {"adamw": AdamW, "sgd": SGD})]


class Schedule(Fields):
    """The learning rate over time: a linear warm-up, then a half cosine, set at every batch."""

    kind: Literal["cosine"] = Field(default="cosine", description="form of the way down")
    warmup_epochs: float = Field(
        default=1.0,
        ge=0,
        le=100_000,
        description="epochs over which the learning rate rises from zero",
    )
    final_lr_ratio: float = Field(
        default=0.01, ge=0, le=1, description="learning rate at the end, as a share of the highest"
    )


class Training(Fields):
    """How a network is trained."""

    epochs: int = Field(default=30, ge=1, le=100_000, description="passes over the training clips")
    batch_size: int = Field(
        default=128,
        ge=2,
        le=65_536,
        description="clips in a batch; a last batch of a single clip is left out",
    )
    optimizer: Optimizer = Field(
        default=AdamW(), description="adamw or sgd, with its lr and weight_decay"
    )
    schedule: Schedule = Field(default=Schedule(), description="the learning rate over time")
    mixup: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="alpha of the Beta distribution that mixes two clips (Zhang et al. 2018); "
        "0 is off",
    )
    masking: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="width of the widest masks of augment.spec_augment for this network, as a "
        "share: the smaller the network, the lighter the masks it bears; 0 is off",
    )
    ema: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="decay per batch of the running mean of the weights, which is what is "
        "measured and kept; 0 is off",
    )
    balanced: bool | Annotated[float, Field(ge=0, le=1)] = Field(
        default=False,
        description="true draws every label equally often: clips of a scarce label repeat within "
        "an epoch, those of an abundant one take turns from epoch to epoch; a number between 0, "
        "the clips as they are, and 1, equally often, gives up some recall for fewer false alarms",
    )
    keep: Literal["best", "last"] = Field(
        default="best",
        description="which epoch's weights to keep: the one of the highest balanced accuracy on "
        "dev, the recall averaged over all labels (at a tie, of the lower dev loss), or the last",
    )

    @model_validator(mode="after")
    def _warms_up_in_time(self) -> Self:
        if self.schedule.warmup_epochs > self.epochs:
            raise PydanticCustomError(
                "warmup",
                "schedule.warmup_epochs = {warmup} is longer than epochs = {epochs}; "
                "lower it or train for longer",
                {"warmup": self.schedule.warmup_epochs, "epochs": self.epochs},
            )
        return self


LabelSmoothing = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="share of the target that is spread evenly over all labels "
        "(Szegedy et al. 2016)",
    ),
]


class CrossEntropyLoss(Fields):
    """Cross-entropy to the labels."""

    kind: Literal["cross_entropy"] = Field(default="cross_entropy", description="which loss")
    label_smoothing: LabelSmoothing = 0.1


class FocalLoss(Fields):
    """Cross-entropy that counts what is already right for less (Lin et al. 2017)."""

    kind: Literal["focal"] = Field(default="focal", description="which loss")
    gamma: float = Field(
        default=2.0,
        ge=0,
        le=100,
        description="a label's term is taken times (1 - its probability) to this power; at 0 it "
        "is cross-entropy",
    )
    label_smoothing: LabelSmoothing = 0.1


LabelLoss = Annotated[
    CrossEntropyLoss | FocalLoss,
    _one_of("loss", {"cross_entropy": CrossEntropyLoss, "focal": FocalLoss}),
]
"""What a network that learns from its labels alone minimises."""


class DistillationLoss(Fields):
    """Cross-entropy to the labels plus KL divergence to the teachers (Hinton et al. 2015)."""

    ce_weight: float = Field(
        default=0.65, ge=0, le=1e6, description="weight of the cross-entropy to the labels"
    )
    kl_weight: float = Field(
        default=0.35,
        ge=0,
        le=1e6,
        description="weight of the KL divergence to the teachers, which is taken times T²",
    )
    temperature: float = Field(
        default=3.0,
        gt=0,
        le=1000,
        description="T: what the logits of teacher and student are divided by",
    )
    label_smoothing: LabelSmoothing = 0.1
    focal_gamma: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="makes the cross-entropy to the labels a focal loss of this gamma (Lin et al. "
        "2017); 0 is off",
    )
    feature_weight: float = Field(
        default=0.0,
        ge=0,
        le=1e6,
        description="weight of the error with which the student's pooled features, mapped "
        "linearly, foretell the teachers' (after Romero et al. 2015); 0 is off",
    )

    @model_validator(mode="after")
    def _learns_something(self) -> Self:
        if self.ce_weight == 0 and self.kl_weight == 0:
            raise PydanticCustomError(
                "loss_weights", "ce_weight and kl_weight are both 0; raise one of them"
            )
        return self
