"""Kernels in C99 that ship to a device: no heap, no libraries."""

from pathlib import Path

FRONT_END = (
    *("exact_floats.h", "front_end.h", "front_end_window.c", "front_end_fft.c"),
    *("front_end_power.c", "front_end_mel.c", "front_end_log.c", "front_end_features.c"),
    *("front_end_hop.h", "front_end_hop.c"),
)
"""Files of the front end."""

INTEGER_FRONT_END = (
    *("integer_front_end.h", "integer_front_end_fft.c", "integer_front_end_log.c"),
    *("front_end_hop.h", "front_end_hop.c"),
)
"""Files of the front end without floating point."""

DETECTOR = (
    *("exact_floats.h", "detector.h", "detector.c", "detector_posteriors.c"),
    *("detector_samples.c", "detector_seconds.c"),
)
"""Files of the detector."""


def kernel_paths(names: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the paths of files in this folder."""
    return tuple(Path(__file__).with_name(name) for name in names)
