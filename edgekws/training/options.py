"""The training fields of a recipe: optimizer, schedule, losses. Imports no torch."""

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

    kind: Literal["cosine"] = Field(default="cosine", description="shape of the decay")
    warmup_epochs: float = Field(
        default=1.0,
        ge=0,
        le=100_000,
        description="epochs over which the learning rate rises from zero",
    )
    final_lr_ratio: float = Field(
        default=0.01, ge=0, le=1, description="final learning rate, as a share of the highest"
    )


class Training(Fields):
    """How a network is trained."""

    epochs: int = Field(default=30, ge=1, le=100_000, description="passes over the training clips")
    batch_size: int = Field(
        default=128,
        ge=2,
        le=65_536,
        description="clips in a batch; a last batch of a single clip is dropped",
    )
    optimizer: Optimizer = Field(
        default=AdamW(), description="adamw or sgd, with its lr and weight_decay"
    )
    schedule: Schedule = Field(default=Schedule(), description="the learning rate over time")
    mixup: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="alpha of the Beta distribution for mixing two clips (Zhang et al. 2018); "
        "0: off",
    )
    masking: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="scale of the widths in augment.spec_augment for this network: small networks "
        "need narrower masks; 0: off",
    )
    ema: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="decay per batch of the running mean of the weights, which is then measured "
        "and kept; 0: off",
    )
    balanced: bool | Annotated[float, Field(ge=0, le=1)] = Field(
        default=False,
        description="true draws every label equally often: clips of a rare label repeat within an "
        "epoch, those of a frequent one alternate between epochs; a number between 0 (all clips "
        "once) and 1 (true) trades recall for fewer false alarms",
    )
    keep: Literal["best", "last"] = Field(
        default="best",
        description="which epoch's weights to keep: the one with the highest balanced accuracy on "
        "dev, the recall averaged over all labels (at a tie, the lower dev loss), or the last",
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
        description="share of the target spread evenly over all labels (Szegedy et al. 2016)",
    ),
]


class CrossEntropyLoss(Fields):
    """Cross-entropy with the labels."""

    kind: Literal["cross_entropy"] = Field(default="cross_entropy", description="which loss")
    label_smoothing: LabelSmoothing = 0.1


class FocalLoss(Fields):
    """Cross-entropy that gives well-classified clips less weight (Lin et al. 2017)."""

    kind: Literal["focal"] = Field(default="focal", description="which loss")
    gamma: float = Field(
        default=2.0,
        ge=0,
        le=100,
        description="each label's term is multiplied by (1 - its probability) to this power; 0: "
        "cross-entropy",
    )
    label_smoothing: LabelSmoothing = 0.1


LabelLoss = Annotated[
    CrossEntropyLoss | FocalLoss,
    _one_of("loss", {"cross_entropy": CrossEntropyLoss, "focal": FocalLoss}),
]
"""The loss of a network that learns from labels only."""


class DistillationLoss(Fields):
    """Cross-entropy with the labels plus KL divergence from the teachers (Hinton et al. 2015)."""

    ce_weight: float = Field(
        default=0.65, ge=0, le=1e6, description="weight of the cross-entropy with the labels"
    )
    kl_weight: float = Field(
        default=0.35,
        ge=0,
        le=1e6,
        description="weight of the KL divergence from the teachers, multiplied by T²",
    )
    temperature: float = Field(
        default=3.0,
        gt=0,
        le=1000,
        description="T, the divisor of the logits of teacher and student",
    )
    label_smoothing: LabelSmoothing = 0.1
    focal_gamma: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="replaces the cross-entropy with a focal loss of this gamma (Lin et al. 2017); "
        "0: off",
    )
    feature_weight: float = Field(
        default=0.0,
        ge=0,
        le=1e6,
        description="weight of the error of predicting the teachers' pooled features from the "
        "student's by a linear map (after Romero et al. 2015); 0: off",
    )

    @model_validator(mode="after")
    def _learns_something(self) -> Self:
        if self.ce_weight == 0 and self.kl_weight == 0:
            raise PydanticCustomError(
                "loss_weights", "ce_weight and kl_weight are both 0; raise one of them"
            )
        return self
