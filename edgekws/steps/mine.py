"""The step `mine`: train a network on its own false alarms."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from edgekws.core.contract import UNKNOWN, Artifact
from edgekws.core.events import Event
from edgekws.core.job import Data, Job, Output
from edgekws.errors import DataError, Problem, RecipeError
from edgekws.runtime.front_end import FrontEnd
from edgekws.steps._finetuning import FinetuningFields

if TYPE_CHECKING:
    from edgekws.steps._mining import MinedWindow

ALARM = 0.5
"""The posterior from which a window counts as a false alarm in `details`."""


class Step(FinetuningFields):
    """Run the network on the training negatives, and train it on its false alarms.

    The negatives are the parts of the training recordings without a keyword, and the training part
    of `dataset.negatives`, as a dataset with `windows` provides them. The windows with the highest
    posteriors of a keyword are added to the training clips as `_unknown_` (hard negative mining,
    Sung and Poggio 1998).
    """

    keeps: ClassVar[str] = "retrained"

    kind: Literal["mine"] = "mine"
    hop_ms: float = Field(
        100.0,
        gt=0,
        le=60_000,
        description="time between windows, rounded to whole frames",
    )
    most: int = Field(
        1000, ge=1, le=1_000_000, description="most windows to add, the highest scores first"
    )
    min_score: float = Field(
        0.2, gt=0, lt=1, description="lowest posterior of a keyword for a window to be added"
    )

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Mine, fine-tune, and write the checkpoint; if nothing is mined, the input network.

        `details` holds `mined` (the number of windows added), `before` and `after` (the number of
        windows in the training negatives, and of those that score at least 0.5), and the `history`
        of `training.fit` if it trained.

        Raises:
            DataError: the dataset has no negatives, or no class `_unknown_`.
            RecipeError: a teacher's labels or front end differ, `hop_ms` is less than a frame, or
                the loss is not finite.
            MachineError, MissingPartError: as `training.fit.fit`.
        """
        from dataclasses import replace

        from edgekws.lowering import checkpoint
        from edgekws.steps._mining import WithMined, hardest, score_windows
        from edgekws.steps._networks import load_teachers
        from edgekws.training.fit import fit
        from edgekws.training.model import Model
        from edgekws.training.reproducible import reproducible

        hop_frames = self._hop_frames(job.data.front_end)
        _check_data(job.data)
        network, contract = checkpoint.load(inputs["input"].path)
        teachers = load_teachers(self.teachers, inputs, job.data)
        model = Model.of(network, contract)
        with reproducible(job):
            before = score_windows(model, job.data, hop_frames, job.device, job.emit)
        mined = hardest(before, self.most, self.min_score)
        details: dict[str, Any] = {"mined": len(mined), "before": _count_alarms(before)}
        if mined:
            mixed = replace(job, data=WithMined(job.data, mined, UNKNOWN))
            details["history"] = fit(model, self.training, self.minimised, mixed, teachers)
            with reproducible(job):
                after = score_windows(model, job.data, hop_frames, job.device, job.emit)
            details["after"] = _count_alarms(after)
        job.emit(Event("note", self._summary(details)))
        path = job.workdir / "checkpoint.safetensors"
        checkpoint.save(network, contract, path)
        return Output(path, details)

    def _hop_frames(self, front_end: FrontEnd) -> int:
        frame_ms = 1000 * front_end.hop_length / front_end.sample_rate
        hop_frames = round(self.hop_ms / frame_ms)
        if not hop_frames:
            message = f"{self.hop_ms:g} ms is less than a frame; use hop_ms = {frame_ms:g}"
            raise RecipeError([Problem("", "hop_ms", message)])
        return hop_frames

    def _summary(self, details: dict[str, Any]) -> str:
        before = details["before"]
        if not details["mined"]:
            return (
                f"{self.name or self.kind}: none of the {before['windows']} windows of the "
                f"training negatives scores {self.min_score:g}; the network is unchanged"
            )
        return (
            f"{self.name or self.kind}: {details['mined']} windows added; false alarms in the "
            f"training negatives: {before['false_alarms']} of {before['windows']} before, "
            f"{details['after']['false_alarms']} after"
        )


def _check_data(data: Data) -> None:
    if UNKNOWN not in data.labels:
        raise DataError("mine adds windows of _unknown_, but the dataset has no such class")
    if not data.negatives():
        raise DataError(
            "mine needs training recordings without a keyword that are longer than the window: "
            'a dataset of kind "manifest" with windows, and folders of them in negatives'
        )


def _count_alarms(windows: "tuple[MinedWindow, ...]") -> dict[str, int]:
    """Return the number of windows, and of those classified as a keyword."""
    alarms = sum(window.score >= ALARM for window in windows)
    return {"windows": len(windows), "false_alarms": alarms}
