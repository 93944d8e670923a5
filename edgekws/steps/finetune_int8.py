"""The step `finetune_int8`: recover accuracy lost to quantization by training in simulated INT8."""

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
    from edgekws.training.scores import DevMetrics


class Step(FinetuningFields):
    """Continue to train a network with weights and activations rounded as in INT8.

    The network stays in FP32 with its BatchNorm, the statistics of which are frozen; its weights
    lose less in the quantization that follows. The better on dev in simulated INT8 is kept: the
    best epoch or the input network.

    Learns from the labels, and from `teachers` if given; the step that gave the network may be
    one of them.
    """

    keeps: ClassVar[str] = "retrained"

    kind: Literal["finetune_int8"] = "finetune_int8"
    calibration_clips: int = Field(
        256,
        ge=1,
        le=100_000,
        description="training clips that set the activation ranges; use the same number as in "
        "quantize, to train with the ranges that it will use",
    )
    reduce_range: bool | None = Field(
        None,
        description="7-bit weights, for x86 CPUs without VNNI; default: chosen for the target, as "
        "in quantize",
    )

    def resolved(self, isa: frozenset[str]) -> Self:
        """Return the step with `reduce_range` filled in."""
        if self.reduce_range is not None:
            return self
        return self.model_copy(update={"reduce_range": saturates_on(isa)})

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Fine-tune, and write the better of start and best epoch as an FP32 checkpoint.

        `details` holds `int8` and `fp32` (loss, accuracy and macro recall on dev, before and
        after, in simulated INT8 and in FP32), the `history` of `training.fit` with dev figures in
        simulated INT8, and `kept`: `fine-tuned` or `start`.

        Raises:
            UnsupportedError: the graph of the network cannot be traced.
            RecipeError: a teacher's labels or front end differ, or the loss is not finite.
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
        before = {form: _dev_metrics(model, job) for form, model in forms.items()}
        history = fit(simulated, self.training, self.minimised, job, teachers)
        after = {form: _dev_metrics(model, job) for form, model in forms.items()}
        kept = _better(before["int8"], after["int8"], job)
        if kept == "start":
            network.load_state_dict(start)
        path = job.workdir / "checkpoint.safetensors"
        checkpoint.save(network, contract, path)
        changes = {form: _before_and_after(before[form], after[form]) for form in forms}
        details = {"kept": kept, **changes, "history": history}
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


def _dev_metrics(model: "Model", job: Job) -> "DevMetrics":
    """Score a model on dev, on the device of the job; leaves the network on the CPU."""
    from edgekws.training.reproducible import reproducible
    from edgekws.training.scores import score

    with reproducible(job):
        model.network.to(job.device)
        metrics = score(model, job.data.examples("dev"), job.data.labels, job.device)
        model.network.cpu()
    return metrics


def _better(before: "DevMetrics", after: "DevMetrics", job: Job) -> str:
    """Return which to keep, by the rule that chooses an epoch; warn if it is the start."""
    first, last = before.balanced_accuracy, after.balanced_accuracy
    if (last, -after.loss) >= (first, -before.loss):
        return "fine-tuned"
    text = (
        f"finetune_int8: in simulated INT8 the input network is better on dev "
        f"({first:.1%} balanced accuracy, loss {before.loss:.3f}) than after training "
        f"({last:.1%}, {after.loss:.3f}) and is kept"
    )
    job.emit(Event("warning", text))
    return "start"


def _before_and_after(before: "DevMetrics", after: "DevMetrics") -> dict[str, dict[str, float]]:
    return {"before": before._asdict(), "after": after._asdict()}
