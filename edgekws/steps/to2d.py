"""The step `to2d`: from the 3-D representation to 2-D, exactly or by distillation."""

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
"""Training clips to which the initial weights are fitted."""

_NEEDS_BACKBONE = ("training", "loss", "teachers", "control", "seed")


class Step(TrainedStepFields):
    """Convert a 3-D network to a 2-D one.

    The conversion is exact, without training, if the first layer spans all mels (`mel_spanning`):
    omit `backbone`, or name the 2-D equivalent. Otherwise `backbone` is initialised from the 3-D
    network by least squares and distilled from it; with `control`, a random start is distilled
    too, and the better of the two on dev is kept.
    """

    kind: Literal["to2d"] = "to2d"
    backbone: AnyBackbone | None = Field(
        None, description="the 2-D network; default: the exact equivalent"
    )
    training: Training = Field(default=Training(), description="training settings of the result")
    loss: DistillationLoss = Field(default=DistillationLoss(), description="the loss")
    teachers: tuple[str, ...] = Field(
        (), description="earlier steps that are teachers in addition to the 3-D network"
    )
    control: bool = Field(
        True, description="also train from a random start, report both, keep the better"
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
    def _no_unused_fields(self) -> Self:
        # Compared by value: a recipe written back with all its defaults must load again.
        fields = type(self).model_fields
        unused = [name for name in _NEEDS_BACKBONE if getattr(self, name) != fields[name].default]
        if self.backbone is None and unused:
            raise PydanticCustomError(
                "no_effect",
                "{names} has no effect without backbone: the conversion is exact; name a 2-D "
                "backbone or remove it",
                {"names": ", ".join(unused)},
            )
        return self

    @property
    def keeps(self) -> str:
        """`exact` without a backbone, else `retrained` (the step itself verifies the twin)."""
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
        """The teachers other than the 3-D network."""
        return self.teachers

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Convert and verify an exact conversion; otherwise initialise and train.

        `details` holds `mode` (`exact` or `initialised`), and either `max_abs_diff` or: `start`
        (the layers that were fitted, and how both starts agree with the 3-D network on dev),
        `history` and `control_history` of `training.fit`, and `kept`, the start that was kept.

        Raises:
            UnsupportedError: the input is already 2-D, or no exact conversion exists.
            ParityError: the exact conversion, or the folding of branches, changed the logits.
            RecipeError: a teacher's labels or front end differ, or the loss is not finite.
            DataError, MachineError, MissingPartError: as `training.fit.fit`.
        """
        from edgekws.lowering import checkpoint, to2d
        from edgekws.steps._networks import new_contract, save_trained

        network, contract = checkpoint.load(inputs["input"].path)
        to2d.refuse_2d(contract)
        if self.backbone is None or _is_twin(self.backbone, network, contract):
            result, new, details = _exact(network, contract, job)
        else:
            new = new_contract(self.backbone, job.data)
            result, new, details = self._initialised(network, contract, new, inputs, job)
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

        sha256 = inputs["input"].sha256
        others = [name for name in dict.fromkeys(self.teachers) if inputs[name].sha256 != sha256]
        teachers = load_teachers(["input", *others], inputs, job.data)
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
        """Train in a separate folder, from which a killed run resumes."""
        from edgekws.training.fit import fit

        job = replace(job, workdir=job.workdir / folder)
        job.workdir.mkdir(parents=True, exist_ok=True)
        return fit(model, self.training, self.loss, job, teachers)


def _is_twin(backbone: Backbone, network: "nn.Module", contract: Contract) -> bool:
    """Return whether `backbone` is the exact conversion of a network."""
    from edgekws.lowering import to2d

    if to2d.twin(contract) != backbone.model_dump(mode="json"):
        return False
    return to2d.first_layer_with_bands(network, contract) is None


def _better(history: dict[str, Any], control: dict[str, Any], job: Job) -> str:
    """Return the start whose kept epoch is better on dev; warn if it is the random one."""
    solved, drawn = (
        run["epochs"][run["kept_epoch"] - 1]["dev_balanced_accuracy"] for run in (history, control)
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
    """Return the fitted and the random start, from the same seed, and the layers fitted."""
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


def _agreement(expected: Any, logits: Any) -> dict[str, float]:
    """Compare logits `(N, n_labels)`: share of equal labels, correlation."""
    import numpy as np

    return {
        "label_agreement": float((expected.argmax(1) == logits.argmax(1)).mean()),
        "correlation": float(np.corrcoef(expected.ravel(), logits.ravel())[0, 1]),
    }
