"""The step `calibrate`: thresholds for a rate of false alarms, chosen in continuous speech."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal, Self

from pydantic import Field

from edgekws.core.canonical import sha256_file
from edgekws.core.contract import Artifact, Format
from edgekws.core.job import Job, Output
from edgekws.core.measurement import ALLOWED_PER_HOUR
from edgekws.steps._fields import StepFields

LIMIT = "max_false_alarms_per_hour"


class Step(StepFields):
    """Choose thresholds, smoothing and refractory time on streams of the dev split.

    The model processes them once, as a device would. The chosen settings make the fewest mistakes
    where keywords are said, with no more false alarms of all keywords together than
    `false_alarms_per_hour` to expect in other speech of this kind; in these streams, fewer are
    counted. The model stays as it is, to the byte.
    """

    listens: ClassVar[bool] = True
    also_takes: ClassVar[tuple[Format, ...]] = ("stream",)
    keeps: ClassVar[str] = "exact"

    kind: Literal["calibrate"] = "calibrate"
    false_alarms_per_hour: float | None = Field(
        None,
        ge=0,
        le=10_000,
        description="false alarms allowed per hour of other speech of this kind, all keywords "
        f"together (default: the recipe's {LIMIT}, or {ALLOWED_PER_HOUR:g} without one)",
    )

    @property
    def takes(self) -> Format | None:
        """An ONNX model."""
        return "onnx"

    @property
    def gives(self) -> Format:
        """Settings of detection."""
        return "detection"

    def for_budget(self, budget: Mapping[str, float]) -> Self:
        """Return the step with the false alarms that the recipe allows."""
        if self.false_alarms_per_hour is not None:
            return self
        return self.model_copy(
            update={"false_alarms_per_hour": budget.get(LIMIT, ALLOWED_PER_HOUR)}
        )

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Listen to the dev streams and choose.

        Raises:
            DataError: there is no speech without keywords to count false alarms in.
        """
        from edgekws.spotting import mistakes
        from edgekws.spotting.calibration import calibrate_on
        from edgekws.spotting.held_out import TABLE, read_notes, read_streams
        from edgekws.spotting.proof import summary
        from edgekws.spotting.results import as_details
        from edgekws.spotting.scores import TOLERANCE_S, read_scores

        assert job.listen is not None
        assert job.streams is not None
        assert self.false_alarms_per_hour is not None
        stream = inputs.get("stream")
        folder = job.listen(inputs["input"].path, stream.path if stream else None)
        origin = {"streams_sha256": sha256_file(folder / TABLE)}
        scores = read_scores(folder)
        settings, made = calibrate_on(
            scores, self.false_alarms_per_hour, TOLERANCE_S, job.emit, origin
        )
        made = replace(made, notes=(*read_notes(folder), *made.notes))
        path = job.workdir / "detection.json"
        path.write_text(json.dumps(settings, ensure_ascii=False, indent=1), encoding="utf-8")
        details = {"allowed_per_hour": self.false_alarms_per_hour, "shown": summary(made)}
        recordings = [recording.path for recording in read_streams(job.streams())]
        worst = mistakes.with_audio(mistakes.worst(scores, settings, TOLERANCE_S), recordings)
        return Output(path, details | as_details(made) | mistakes.as_details(worst))
