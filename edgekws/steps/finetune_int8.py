"""Fine-tuning under simulated INT8, for what quantization after training loses."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from edgekws.core.contract import Artifact, Contract
from edgekws.core.events import Event
from edgekws.core.job import Job, Output
from edgekws.quantizers.int8.isa import saturates_on
from edgekws.steps._finetuning import FinetuningFields

if TYPE_CHECKING:
    from torch import nn

    from edgekws.quantizers.int8.fake_quantize import FakeQuantized
    from edgekws.training.model import Model
    from edgekws.training.scores import Scores


class Step(FinetuningFields):
    """Train a network further while its weights and activations are rounded as INT8 rounds them.

    The network stays what it is, in FP32 and with its BatchNorm, whose statistics are kept; the
    quantizer behind it finds weights that lose less. What is better on dev under simulated INT8
    is kept: the best epoch, or the network as it came.

    Learns from the labels, and from `teachers` where they are named; the step that gave the
    network may be one of them.
    """

    keeps: ClassVar[str] = "retrained"

    kind: Literal["finetune_int8"] = "finetune_int8"
    calibration_clips: int = Field(
        256,
        ge=1,
        le=100_000,
        description="training clips that set the activation ranges; as in quantize, to train "
        "under the ranges that it will take",
    )
    reduce_range: bool | None = Field(
        None,
        description="weights in 7 bits: for x86 CPUs without VNNI; the target decides where "
        "omitted, as for quantize",
    )

    def resolved(self, isa: frozenset[str]) -> Self:
        """Return the step with `reduce_range` decided."""
        if self.reduce_range is not None:
            return self
        return self.model_copy(update={"reduce_range": saturates_on(isa)})

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Fine-tune, and write the better of start and best epoch as an FP32 checkpoint.

        `details` holds `int8` and `fp32` (loss, accuracy and macro recall on dev, before and
        after, in simulated INT8 and without), the `history` of `training.fit`, whose dev figures
        are those of simulated INT8, and `kept`: `fine-tuned` or `start`.

        Raises:
            UnsupportedError: the graph of the network cannot be traced.
            RecipeError: a teacher has other labels or another front end, or the loss is no number.
            DataError, MachineError, MissingPartError: as `training.fit.fit`.
        """
        from edgekws.lowering import checkpoint
        from edgekws.steps._networks import load_teachers
        from edgekws.training.fit import fit
        from edgekws.training.model import Model

        network, contract = checkpoint.load(inputs["input"].path)
        teachers = load_teachers(self.teachers, inputs, job.data)
        start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        simulated = Model.of(self._fake_quantized(network, contract, job), contract)
        forms = {"int8": simulated, "fp32": Model.of(network, contract)}
        before = {form: _scores(model, job) for form, model in forms.items()}
        history = fit(simulated, self.training, self.minimised, job, teachers)
        after = {form: _scores(model, job) for form, model in forms.items()}
        kept = _better(before["int8"], after["int8"], job)
        if kept == "start":
            network.load_state_dict(start)
        path = job.workdir / "checkpoint.safetensors"
        checkpoint.save(network, contract, path)
        told = {form: _told(before[form], after[form]) for form in forms}
        details = {"kept": kept, **told, "history": history}
        return Output(path, details, {"history": "history"})

    def _fake_quantized(
        self, network: "nn.Module", contract: Contract, job: Job
    ) -> "FakeQuantized":
        import torch

        from edgekws.quantizers.int8.fake_quantize import FakeQuantized

        indices = job.data.calibration(self.calibration_clips)
        clips = torch.from_numpy(job.data.examples("train").features[indices])
        if contract.representation == "3d":
            clips = clips.unsqueeze(1)  # (N, 1, n_mels, T)
        return FakeQuantized(network, clips, largest_weight=63 if self.reduce_range else 127)


def _scores(model: "Model", job: Job) -> "Scores":
    """Return how a model does on dev, on the device of the job; it ends on the CPU."""
    from edgekws.training.reproducible import reproducible
    from edgekws.training.scores import score

    with reproducible(job):
        model.network.to(job.device)
        scores = score(model, job.data.examples("dev"), job.data.labels, job.device)
        model.network.cpu()
    return scores


def _better(before: "Scores", after: "Scores", job: Job) -> str:
    """Return what is kept, by the rule that chooses an epoch; say so if it is the start."""
    first, last = before.balanced_accuracy, after.balanced_accuracy
    if (last, -after.loss) >= (first, -before.loss):
        return "fine-tuned"
    text = (
        f"finetune_int8: in simulated INT8 the network as it came is better on dev "
        f"({first:.1%} balanced accuracy, loss {before.loss:.3f}) than after training "
        f"({last:.1%}, {after.loss:.3f}) and is kept"
    )
    job.emit(Event("warning", text))
    return "start"


def _told(before: "Scores", after: "Scores") -> dict[str, dict[str, float]]:
    return {"before": before._asdict(), "after": after._asdict()}
