"""Evaluation of a bundle on labelled continuous audio that its settings were not chosen on."""

from collections.abc import Sequence
from pathlib import Path

from edgekws.core.events import Emit
from edgekws.spotting.labelled_audio import Where, list_negatives, list_positives
from edgekws.spotting.results import EventEvaluation, evaluate_settings
from edgekws.spotting.scores import fingerprint, listen
from edgekws.spotting.streams import opened


def evaluate_events(
    bundle: Path,
    positives: Path,
    negatives: Sequence[Path],
    emit: Emit,
    where: Where,
    tolerance_s: float,
) -> EventEvaluation:
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
    return evaluate_settings(scores, scores.settings, tolerance_s, notes)
