"""The step `to2d`: from the 3-D representation to the 2-D one, exactly or by re-distillation."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from edgekws.core.contract import Artifact, Contract, Format
from edgekws.core.events import Event
from edgekws.core.job import Job, Output
from edgekws.core.protocols import AnyBackbone, Backbone
from edgekws.steps._fields import TrainedStepFields
from edgekws.training.options import DistillationLoss, Training

if TYPE_CHECKING:
    from torch import nn

    from edgekws.training.model import Model

CALIBRATION_CLIPS = 512
"""Training clips on which the first weights are solved."""

_OF_TRAINING = ("training", "loss", "teachers", "control", "seed")


class Step(TrainedStepFields):
    """Turn a 3-D network into a 2-D one.

    Exact, without training, where the first layer spans all mels (`mel_spanning`): leave out
    `backbone`, or name the twin. Otherwise `backbone` gets its first weights from the 3-D network
    by least squares and is distilled from it; with `control`, so is a random start, and the one
    that is better on dev is kept.
    """

    kind: Literal["to2d"] = "to2d"
    backbone: AnyBackbone | None = Field(
        None, description="the 2-D network to become; where omitted, the exact twin"
    )
    training: Training = Field(default=Training(), description="how the result is trained")
    loss: DistillationLoss = Field(default=DistillationLoss(), description="what is minimised")
    teachers: tuple[str, ...] = Field(
        (), description="names of earlier steps that teach beside the 3-D network itself"
    )
    control: bool = Field(
        True, description="also train a random start for as long, show both, keep the better"
    )

    @field_validator("backbone")
    @classmethod
    def _is_2d(cls, backbone: Backbone | None) -> Any:
        if backbone is not None and backbone.representation != "2d":
            raise PydanticCustomError(
                "not_2d",
                "{kind} is in the 3-D representation; name a 2-D one, e.g. {example}",
                {"kind": backbone.kind, "example": '{ kind = "inverted_bottleneck" }'},
            )
        return backbone

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> Self:
        # Compared by value: a recipe written back with all its defaults has to load again.
        fields = type(self).model_fields
        idle = [name for name in _OF_TRAINING if getattr(self, name) != fields[name].default]
        if self.backbone is None and idle:
            raise PydanticCustomError(
                "no_effect",
                "{names} has no effect without backbone, which makes the conversion exact; name a "
                "2-D backbone or take it out",
                {"names": ", ".join(idle)},
            )
        return self

    @property
    def keeps(self) -> str:
        """`exact` without a backbone, else `retrained` (the twin is proven by the step itself)."""
        return "exact" if self.backbone is None else "retrained"

    @property
    def takes(self) -> Format | None:
        """A checkpoint of a 3-D network."""
        return "checkpoint"

    @property
    def gives(self) -> Format:
        """A checkpoint of a 2-D network."""
        return "checkpoint"

    @property
    def named_inputs(self) -> tuple[str, ...]:
        """The teachers beside the 3-D network."""
        return self.teachers

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Convert, and where that is not exact, train; prove what is exact.

        `details` holds `mode` (`exact` or `initialised`), and `max_abs_diff`, or `start` (what was
        solved and how both starts agree with the 3-D network on dev), `history` and
        `control_history` of `training.fit`, and `kept`, the start that was kept.

        Raises:
            UnsupportedError: the input is 2-D already, or the exact conversion does not exist.
            ParityError: the exact conversion, or the folding of branches into one, is not.
            RecipeError: a teacher has other labels or another front end, or the loss is no number.
            DataError, MachineError, MissingPartError: as `training.fit.fit`.
        """
        from edgekws.lowering import checkpoint, to2d
        from edgekws.steps._networks import new_contract, save_trained

        network, contract = checkpoint.load(inputs["input"].path)
        to2d.refuse_2d(contract)
        if self.backbone is None or _is_twin(self.backbone, network, contract):
            result, new, details = _exact(network, contract, job)
        else:
            wanted = new_contract(self.backbone, job.data)
            result, new, details = self._initialised(network, contract, wanted, inputs, job)
        return save_trained(result, new, details, job)

    def _initialised(
        self,
        network: "nn.Module",
        contract: Contract,
        new: Contract,
        inputs: Mapping[str, Artifact],
        job: Job,
    ) -> "tuple[nn.Module, Contract, dict[str, Any]]":
        from edgekws.steps._networks import load_teachers
        from edgekws.training.model import Model

        own = inputs["input"].sha256
        more = [name for name in dict.fromkeys(self.teachers) if inputs[name].sha256 != own]
        teachers = load_teachers(["input", *more], inputs, job.data)
        starts, solved = _starts(network, new, job)
        logits = _dev_logits(network, contract, job)
        start: dict[str, Any] = {"solved": [asdict(layer) for layer in solved]}
        for name, candidate in starts.items():
            start[name] = _agreement(logits, _dev_logits(candidate, new, job))
        details: dict[str, Any] = {"mode": "initialised", "start": start}
        details["history"] = self._fit(
            Model.of(starts["initialised"], new), teachers, job, "initialised"
        )
        details["kept"] = "initialised"
        if self.control:
            control = Model.of(starts["random"], new)
            details["control_history"] = self._fit(control, teachers, job, "control")
            details["kept"] = _better(details["history"], details["control_history"], job)
        return starts[details["kept"]], new, details

    def _fit(
        self, model: "Model", teachers: "list[Model]", job: Job, folder: str
    ) -> dict[str, Any]:
        """Train in a folder of its own, from which a killed run goes on."""
        from edgekws.training.fit import fit

        own = replace(job, workdir=job.workdir / folder)
        own.workdir.mkdir(parents=True, exist_ok=True)
        return fit(model, self.training, self.loss, own, teachers)


def _is_twin(backbone: Backbone, network: "nn.Module", contract: Contract) -> bool:
    """Tell whether the exact conversion of a network is `backbone`."""
    from edgekws.lowering import to2d

    if to2d.twin(contract) != backbone.model_dump(mode="json"):
        return False
    return to2d.first_layer_with_bands(network, contract) is None


def _better(history: dict[str, Any], control: dict[str, Any], job: Job) -> str:
    """Return the start whose kept epoch is better on dev; say so if random."""
    solved, drawn = (
        told["epochs"][told["kept_epoch"] - 1]["dev_balanced_accuracy"]
        for told in (history, control)
    )
    if solved >= drawn:
        return "initialised"
    text = f"to2d: the random start ends better on dev ({drawn:.1%} balanced accuracy, "
    job.emit(Event("warning", f"{text}{solved:.1%} from the 3-D weights) and is kept"))
    return "random"


def _exact(
    network: "nn.Module", contract: Contract, job: Job
) -> "tuple[nn.Module, Contract, dict[str, Any]]":
    from edgekws.lowering import parity, to2d

    result, new = to2d.exact(network, contract)
    dev = job.data.examples("dev")
    golden = dev.features[parity.golden(dev)]
    a, b = (parity.torch_logits(n, golden, c) for n, c in ((network, contract), (result, new)))
    worst = parity.check(a, b, what="to2d")
    job.emit(Event("note", f"to2d: exact, max |Δlogit| {worst:.1e}; nothing to train"))
    return result, new, {"mode": "exact", "max_abs_diff": worst}


def _starts(
    network: "nn.Module", contract: Contract, job: Job
) -> "tuple[dict[str, nn.Module], tuple[Any, ...]]":
    """Return the solved and the random start, drawn alike, and what was solved."""
    import torch

    from edgekws.lowering import checkpoint
    from edgekws.lowering.least_squares import initialise
    from edgekws.training.reproducible import reproducible

    starts = {}
    for name in ("initialised", "random"):
        torch.manual_seed(job.seed)
        starts[name] = checkpoint.build(contract)
    clips = job.data.calibration(min(CALIBRATION_CLIPS, len(job.data.examples("train"))))
    features = job.data.examples("train").features[clips]
    with reproducible(job):
        solved = initialise(starts["initialised"], network, features)
    return starts, solved


def _dev_logits(network: "nn.Module", contract: Contract, job: Job) -> Any:
    from edgekws.lowering.parity import torch_logits

    return torch_logits(network, job.data.examples("dev").features, contract)


def _agreement(wanted: Any, got: Any) -> dict[str, float]:
    """Return how logits `(N, n_labels)` agree: share of equal labels, correlation."""
    import numpy as np

    return {
        "label_agreement": float((wanted.argmax(1) == got.argmax(1)).mean()),
        "correlation": float(np.corrcoef(wanted.ravel(), got.ravel())[0, 1]),
    }
