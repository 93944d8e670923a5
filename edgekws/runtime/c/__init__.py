"""Kernels in C99 that ship to a device: no heap, no libraries.

Every file is named in this module, so that an edit changes the cache keys of its results.
"""

from pathlib import Path

FRONT_END = (
    *("exact_floats.h", "front_end.h", "front_end_window.c", "front_end_fft.c"),
    *("front_end_power.c", "front_end_mel.c", "front_end_log.c", "front_end_features.c"),
    *("front_end_logarithm.h", "front_end_running.c", "front_end_hop.h", "front_end_hop.c"),
)
"""Files of the front end."""

INTEGER_FRONT_END = (
    *("integer_front_end.h", "integer_front_end_fft.c", "integer_front_end_log.c"),
    *("integer_front_end_running.c", "front_end_hop.h", "front_end_hop.c"),
)
"""Files of the front end without floating point."""

MICRO_FRONT_END = (
    *("micro_front_end.h", "micro_front_end.c", "micro_front_end_fft.c"),
    *("front_end_hop.h", "front_end_hop.c"),
)
"""Files of the micro front end, which has no floating point."""

DETECTOR = (
    *("exact_floats.h", "kws_real.h", "detector.h", "detector.c"),
    *("detector_posteriors.c", "detector_samples.c", "detector_seconds.c"),
)
"""Files of the detector."""

SECONDS = "detector_seconds.c"
"""The only one of them with floating point: an integer build leaves it out."""


NETWORK = {
    "Conv": "network_conv.c",
    "Depthwise": "network_depthwise.c",
    "Dense": "network_dense.c",
    "Dequantize": "network_dequantize.c",
    "Add": "network_add.c",
    "Multiply": "network_multiply.c",
    "AveragePool": "network_average_pool.c",
    "FloatAveragePool": "network_float_average_pool.c",
    "MaxPool": "network_max_pool.c",
    "Lookup": "network_lookup.c",
    "Copy": "network_copy.c",
    "Shift": "network_shift.c",
}
"""The kernel of each operator of `codegen.ir`; a `Fill` is a memset."""

NARROW = {
    "Conv": "network_conv_narrow.c",
    "Depthwise": "network_depthwise_narrow.c",
    "Dense": "network_dense_narrow.c",
    "AveragePool": "network_average_pool_narrow.c",
}
"""Those for CPUs without vector registers, which the compiler chooses instead."""

NETWORK_HEADERS = (
    *("kws_real.h", "network_kernels.h", "network_rounding.h", "network_integer.h"),
    *("network_sums.h", "network_sums_plain.h", "network_sums_avx2.h", "network_sums_vnni.h"),
    *("network_sums_armv8.h", "network_dot.h"),
)
"""Headers of the kernels."""

SPOTTER = ("kws.c", "main.c", "Makefile", "kws.service")
"""Files that are the same for every bundle."""

LIBRARY = ("library.c",)
"""What a spotter that is called from Python has more."""

TIMING = ("timing.c",)
"""What a latency harness calls."""


BOARD = ("board.h", "board.c", "board.ld")
"""What a program on an emulated board begins with."""

BOARD_LISTENS = ("board_listen.c", "kws.c")
"""A spotter on a board."""

BOARD_PROVES = ("board_prove.c",)
"""A front end and a network on a board, call by call."""


def kernel_paths(names: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the paths of files in this folder."""
    return tuple(Path(__file__).with_name(name) for name in names)
