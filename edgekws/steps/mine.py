"""The step `mine`: train a network on its own false alarms."""

import shutil
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from edgekws.core.contract import UNKNOWN, Artifact
from edgekws.core.events import Event
from edgekws.core.job import Data, Job, Output
from edgekws.errors import DataError, Problem, RecipeError
from edgekws.runtime.front_end import FrontEnd
from edgekws.steps._finetuning import FinetuningFields


class Step(FinetuningFields):
    """Run the network on the training negatives, and train it on its false alarms.

    The negatives are the parts of the training recordings without a keyword, as a dataset with
    `windows` provides them, and the training part of `dataset.negatives` and `dataset.spoken`. The
    windows with the highest posteriors of a keyword are added to the training clips as `_unknown_`
    (hard negative mining, Sung and Poggio 1998).
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
    rounds: int = Field(
        3,
        ge=1,
        le=100,
        description="most times to mine and train; a round after the first that does not lower "
        "the number of false alarms is undone, and one that lowers it by less than a tenth is the "
        "last",
    )

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Mine, fine-tune, and write the checkpoint; if nothing is mined, the input network.

        `details` holds `mined` (the number of windows added), `before` and `after` (the number of
        windows in the training negatives, and of those that score at least 0.5), `rounds` (the
        windows added and the false alarms left by each) and the `history` of the first training.

        Raises:
            DataError: the dataset has no negatives, or no class `_unknown_`.
            RecipeError: a teacher's labels or front end differ, `hop_ms` is less than a frame, or
                the loss is not finite.
            MachineError, MissingPartError: as `training.fit.fit`.
        """
        from edgekws.lowering import checkpoint
        from edgekws.steps._mining import Miner
        from edgekws.steps._networks import load_teachers
        from edgekws.training.model import Model

        hop_frames = self._hop_frames(job.data.front_end)
        _check_data(job.data)
        network, contract = checkpoint.load(inputs["input"].path)
        teachers = load_teachers(self.teachers, inputs, job.data)
        miner = Miner(Model.of(network, contract), job, hop_frames, self.most, self.min_score)
        before, rounds, history = miner.alarms, list[dict[str, int]](), None
        while len(rounds) < self.rounds:
            mined = miner.train(self.training, self.minimised, teachers, len(rounds))
            if not mined.windows:
                break
            history = history or mined.history
            rounds.append({"mined": mined.windows, "false_alarms": mined.alarms})
            if not mined.pays:
                break
        details: dict[str, Any] = {
            "mined": sum(one["mined"] for one in rounds),
            "before": {"windows": miner.windows, "false_alarms": before},
        }
        if history is not None:
            details |= {
                "after": {"windows": miner.windows, "false_alarms": miner.alarms},
                "rounds": rounds,
                "history": history,
            }
        job.emit(Event("note", self._summary(details)))
        for folder in job.workdir.glob("round-*"):
            shutil.rmtree(folder)
        path = job.workdir / "checkpoint.safetensors"
        checkpoint.save(network, contract, path)
        return Output(path, details, {"history": "history"} if history else {})

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
            f"{self.name or self.kind}: {details['mined']} windows added, training rounds: "
            f"{len(details['rounds'])}; false alarms in the training negatives: "
            f"{before['false_alarms']} of {before['windows']} before, "
            f"{details['after']['false_alarms']} after"
        )


def _check_data(data: Data) -> None:
    if UNKNOWN not in data.labels:
        raise DataError("mine adds windows of _unknown_, but the dataset has no such class")
    if not data.negatives():
        raise DataError(
            "mine needs speech without a keyword, in recordings longer than the window: name "
            "folders of it in dataset.negatives, or have it spoken by dataset.spoken"
        )
