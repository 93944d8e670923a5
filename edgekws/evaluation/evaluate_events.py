"""Evaluation of a bundle on labelled continuous audio that its settings were not chosen on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from edgekws.core.events import Emit
from edgekws.spotting import mistakes
from edgekws.spotting.labelled_audio import Where, list_negatives, list_positives
from edgekws.spotting.mistakes import Mistake
from edgekws.spotting.results import EventEvaluation, evaluate_settings
from edgekws.spotting.scores import fingerprint, listen
from edgekws.spotting.streams import opened

MOST = 10
"""False alarms and close calls that are listed, and misses."""


class Evaluated(NamedTuple):
    """The figures, and the worst mistakes with their files and audio."""

    evaluation: EventEvaluation
    worst: tuple[Mistake, ...]


def evaluate_events(
    bundle: Path,
    positives: Path,
    negatives: Sequence[Path],
    emit: Emit,
    where: Where,
    tolerance_s: float,
) -> Evaluated:
    """Return misses, false alarms and timing errors of a bundle with its own settings.

    A note is added if the settings were chosen on the same recordings.

    Raises:
        DataError: the bundle is damaged, recordings are missing or wrong, or none is keyword-free.
    """
    detector, manifest = opened(bundle, emit)
    said = list_positives(positives, where, detector.trigger.keywords, emit)
    free = list_negatives(negatives, emit)
    scores = listen(detector, manifest, [*said, *free], emit)
    chosen_on = scores.settings.get("calibration") or {}
    notes = [
        f"the {what} are those that the settings were chosen on: the figures flatter"
        for what, recordings in (("positives", said), ("negatives", free))
        if recordings and chosen_on.get(f"{what}_sha256") == fingerprint(recordings)
    ]
    evaluation = evaluate_settings(scores, scores.settings, tolerance_s, notes)
    paths = [recording.path for recording in (*said, *free)]
    worst = mistakes.with_audio(mistakes.worst(scores, scores.settings, tolerance_s, MOST), paths)
    named = tuple(replace(one, file=str(paths[one.recording])) for one in worst)
    return Evaluated(evaluation, named)
