"""Calibrate a bundle's smoothing, thresholds and refractory time on recordings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekws.bundle.export import check_output
from edgekws.bundle.settings import exporter_for, write_settings
from edgekws.core.events import Emit
from edgekws.core.verified import Verified
from edgekws.spotting.calibration import calibrate_on
from edgekws.spotting.labelled_audio import Where, list_negatives, list_positives
from edgekws.spotting.results import EventEvaluation
from edgekws.spotting.scores import fingerprint, listen
from edgekws.spotting.streams import opened


@dataclass(frozen=True)
class Calibrated:
    """The written bundle, and its results on the recordings that its settings were chosen on."""

    output: Path
    max_fa_per_hour: float
    evaluation: EventEvaluation
    verified: Verified


def calibrate(
    bundle: Path,
    positives: Path,
    negatives: Sequence[Path],
    output: Path,
    emit: Emit,
    *,
    max_fa_per_hour: float,
    where: Where,
    tolerance_s: float,
) -> Calibrated:
    """Write the bundle to `output` with detection settings chosen on recordings.

    The detector processes them once; `spotting.calibration.calibrate_on` chooses the settings.

    Raises:
        UsageError: `output` holds something else, or is the bundle.
        DataError: the bundle is damaged, recordings are missing or wrong, or none is keyword-free.
    """
    check_output(bundle, exporter_for(output), output)
    detector, manifest = opened(bundle, emit)
    said = list_positives(positives, where, detector.trigger.keywords, emit)
    free = list_negatives(negatives, emit)
    scores = listen(detector, manifest, [*said, *free], emit)
    origin = {"positives_sha256": fingerprint(said), "negatives_sha256": fingerprint(free)}
    settings, result = calibrate_on(scores, max_fa_per_hour, tolerance_s, emit, origin)
    return Calibrated(output, max_fa_per_hour, result, write_settings(bundle, settings, output))
