"""The step `mine`: learn from one's own false alarms."""

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
    from edgekws.steps._mining import Place

ALARM = 0.5
"""A posterior from which a window counts as a false alarm in `details`."""


class Step(FinetuningFields):
    """Let the network hear the training negatives, and train it on what it took for a keyword.

    The negatives are the parts of the training recordings in which no keyword is said, and the
    training part of `dataset.negatives`: what a dataset with `windows` gives. The windows with the
    highest posteriors of a keyword join the training clips as `_unknown_` (hard negative mining,
    Sung and Poggio 1998).
    """

    keeps: ClassVar[str] = "retrained"

    kind: Literal["mine"] = "mine"
    hop_ms: float = Field(
        100.0,
        gt=0,
        le=60_000,
        description="time between the windows that it hears, in whole frames",
    )
    most: int = Field(
        1000, ge=1, le=1_000_000, description="windows that are added, those of highest score"
    )
    min_score: float = Field(
        0.2, gt=0, lt=1, description="posterior of a keyword from which a window is added"
    )

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Mine, fine-tune, and write the checkpoint; without a false alarm, the network as it is.

        `details` holds `mined` (how many windows were added), `before` and `after` (how many
        windows the training negatives have, and how many score 0.5 and more), and the `history` of
        `training.fit` where it trained.

        Raises:
            DataError: the dataset has no negatives, or no class `_unknown_`.
            RecipeError: a teacher has other labels or another front end, `hop_ms` is less than a
                frame, or the loss is no number.
            MachineError, MissingPartError: as `training.fit.fit`.
        """
        from dataclasses import replace

        from edgekws.lowering import checkpoint
        from edgekws.steps._mining import WithMined, hardest, places
        from edgekws.steps._networks import load_teachers
        from edgekws.training.fit import fit
        from edgekws.training.model import Model
        from edgekws.training.reproducible import reproducible

        hop_frames = self._hop_frames(job.data.front_end)
        _check(job.data)
        network, contract = checkpoint.load(inputs["input"].path)
        teachers = load_teachers(self.teachers, inputs, job.data)
        model = Model.of(network, contract)
        with reproducible(job):
            before = places(model, job.data, hop_frames, job.device, job.emit)
        mined = hardest(before, self.most, self.min_score)
        details: dict[str, Any] = {"mined": len(mined), "before": _alarms(before)}
        if mined:
            mixed = replace(job, data=WithMined(job.data, mined, UNKNOWN))
            details["history"] = fit(model, self.training, self.minimised, mixed, teachers)
            with reproducible(job):
                after = places(model, job.data, hop_frames, job.device, job.emit)
            details["after"] = _alarms(after)
        job.emit(Event("note", self._told(details)))
        path = job.workdir / "checkpoint.safetensors"
        checkpoint.save(network, contract, path)
        return Output(path, details, {"history": "history"} if mined else {})

    def _hop_frames(self, front_end: FrontEnd) -> int:
        frame_ms = 1000 * front_end.hop_length / front_end.sample_rate
        hop_frames = round(self.hop_ms / frame_ms)
        if not hop_frames:
            message = f"{self.hop_ms:g} ms is less than a frame; use hop_ms = {frame_ms:g}"
            raise RecipeError([Problem("", "hop_ms", message)])
        return hop_frames

    def _told(self, details: dict[str, Any]) -> str:
        before = details["before"]
        if not details["mined"]:
            return (
                f"{self.name or self.kind}: none of {before['windows']} windows of the training "
                f"negatives scores {self.min_score:g}; the network stays as it is"
            )
        return (
            f"{self.name or self.kind}: {details['mined']} windows added; false alarms in the "
            f"training negatives: {before['false_alarms']} of {before['windows']} before, "
            f"{details['after']['false_alarms']} after"
        )


def _check(data: Data) -> None:
    if UNKNOWN not in data.labels:
        raise DataError("mine adds windows of _unknown_, and the dataset has no such class")
    if not data.negatives():
        raise DataError(
            "mine needs training recordings without a keyword that are longer than the window: "
            'a dataset of kind "manifest" with windows, and folders of them in negatives'
        )


def _alarms(found: "tuple[Place, ...]") -> dict[str, int]:
    """Return how many windows there are, and how many of them are taken for a keyword."""
    alarms = sum(place.score >= ALARM for place in found)
    return {"windows": len(found), "false_alarms": alarms}
