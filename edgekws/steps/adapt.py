"""The step `adapt`: tune a network to one person's voice and room."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from edgekws.core import figures
from edgekws.core.canonical import file_state, sha256_of
from edgekws.core.contract import Artifact, Format
from edgekws.core.events import Event, progress
from edgekws.core.job import Job, Output
from edgekws.steps._fields import TrainedStepFields
from edgekws.training.options import AdamW, DistillationLoss, Training

if TYPE_CHECKING:
    from edgekws.steps._adapting import Adapter, Tuned

TRAINING = Training(epochs=8, batch_size=64, keep="last", optimizer=AdamW(lr=1e-3))
LOSS = DistillationLoss(ce_weight=0.5, kl_weight=0.5, temperature=2.0, label_smoothing=0.0)


class Step(TrainedStepFields):
    """Tune a network to the recordings of one person, without more false alarms.

    The clips, varied in speed, pitch, room and noise, are mixed with training clips, and the
    network as it came is the teacher of both, so that it keeps what it knows. The room teaches what
    to ignore. Of the way from the old weights to the new ones, the network goes as far as no more
    clips of dev without a keyword, and no more of the room, are taken for a keyword.

    What it is worth to this person is cross-validated: every clip is judged by a network that was
    tuned on other clips.
    """

    keeps: ClassVar[str] = "retrained"

    kind: Literal["adapt"] = "adapt"
    recordings: Path = Field(
        description="word folders of one person, some five clips of each keyword, as "
        "`edgekws record` writes them; other words are _unknown_"
    )
    room: Path | None = Field(
        None,
        description="a recording of the room, or a folder of them, in addition to "
        "_background_noise_ of the recordings; the second half of each judges",
    )
    replay: int = Field(
        600, ge=1, le=1_000_000, description="training clips beside the person's, in every epoch"
    )
    share: float = Field(0.4, gt=0, lt=1, description="share of the person's clips in an epoch")
    copies: int = Field(15, ge=0, le=1000, description="variations of each clip")
    folds: int = Field(
        5, ge=2, le=100, description="groups of clips that are held out in turn to judge it"
    )
    training: Training = Field(default=TRAINING, description="training settings")
    loss: DistillationLoss = Field(
        default=LOSS, description="the loss; the teacher is the network as it came"
    )

    @property
    def takes(self) -> Format:
        """A checkpoint, in either representation."""
        return "checkpoint"

    @property
    def gives(self) -> Format:
        """A checkpoint of the same architecture."""
        return "checkpoint"

    def fingerprint(self) -> str:
        """Return a hash of name, size and time of the recordings.

        Raises:
            DataError: a folder or file is missing, or holds no recordings.
        """
        from edgekws.steps._person import person_files

        return sha256_of([file_state(path) for path in person_files(*self._places)])

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Judge by cross-validation, tune on all clips, and write the checkpoint.

        `details` holds `person` (clips, folds, and misses of keywords before and after), `part`
        (of the way to the tuned weights), `false_alarms` and `room` (before and after, and of how
        many), a `sentence` that says all of it, and the `history` of the last training.

        Raises:
            DataError: a recording cannot be read or is held out by the dataset, or no keyword has
                two clips.
            RecipeError, MachineError, MissingPartError: as `training.fit.fit`.
        """
        from edgekws.lowering import checkpoint
        from edgekws.steps._adapting import Adapter, Amounts
        from edgekws.steps._person import person_files, read_person

        if job.audio is not None:
            job.audio.refuse_held_out(person_files(*self._places))
        network, contract = checkpoint.load(inputs["input"].path)
        person = read_person(*self._places, job.data.labels, job.data.front_end)
        amounts = Amounts(self.replay, self.copies, self.share)
        adapter = Adapter(network.state_dict(), contract, person, amounts, job)
        details = self._cross_validated(adapter, job)
        tuned = adapter.tuned(
            np.arange(len(person)), self.training, self.loss, job.workdir / "tuned"
        )
        details |= _alarms(adapter, tuned)
        details |= {"sentence": _sentence(details), "history": tuned.history}
        job.emit(Event("note", f"{self.name or self.kind}: {details['sentence']}"))
        for folder in (*job.workdir.glob("fold-*"), job.workdir / "tuned"):
            shutil.rmtree(folder)
        network.load_state_dict(tuned.weights)
        path = job.workdir / "checkpoint.safetensors"
        checkpoint.save(network, contract, path)
        return Output(path, details, {"history": "history"})

    @property
    def _places(self) -> tuple[Path, Path | None]:
        """The recordings and the room, `~` expanded."""
        return self.recordings.expanduser(), self.room.expanduser() if self.room else None

    def _cross_validated(self, adapter: "Adapter", job: Job) -> dict[str, Any]:
        """Return the misses of clips by the network as it came, and tuned on the others."""
        folds = list(adapter.folds(self.folds))
        every = np.sort(np.concatenate(folds))
        before = after = 0
        for number, held_out in enumerate(folds):
            progress(job.emit, "cross-validation", number, len(folds), unit="folds")
            others = np.setdiff1d(every, held_out)
            folder = job.workdir / f"fold-{number}"
            tuned = adapter.tuned(others, self.training, self.loss, folder)
            before += adapter.misses(adapter.start, held_out)
            after += adapter.misses(tuned.weights, held_out)
        clips = len(adapter.keywords(every))
        counts = {"clips": clips, "folds": len(folds), "before": before, "after": after}
        return {"person": counts}


def _sentence(details: dict[str, Any]) -> str:
    """Return what the tuning is worth, with 95 % intervals over the clips."""
    person = details["person"]
    alarms = [
        f"{part['before']} → {part['after']} of {part['of']} {what}"
        for what, part in (
            ("clips of dev without a keyword", details["false_alarms"]),
            ("windows of the room", details["room"]),
        )
        if part["of"]
    ]
    return (
        f"misses of this person, cross-validated in {person['folds']} parts: "
        f"{_missed(person['before'], person['clips'])} before, "
        f"{_missed(person['after'], person['clips'])} after; "
        f"false alarms: {', '.join(alarms) or 'not counted'}; "
        + (
            f"{figures.share(details['part'], 0)} of the way to the tuned weights"
            if details["part"]
            else "the network is unchanged: every change raised false alarms"
        )
    )


def _missed(count: int, clips: int) -> str:
    from edgekws.metrics.intervals import clopper_pearson

    low, high = clopper_pearson(count, clips)
    return (
        f"{count} of {clips} ({figures.share(count / clips)} [{100 * low:.1f}, {100 * high:.1f}])"
    )


def _alarms(adapter: "Adapter", tuned: "Tuned") -> dict[str, Any]:
    """Return the false alarms before and after, on dev and in the room."""
    dev, room = (
        {"before": before, "after": after, "of": of}
        for before, after, of in zip(adapter.alarms, tuned.alarms, adapter.windows, strict=True)
    )
    return {"part": tuned.part, "false_alarms": dev, "room": room}
