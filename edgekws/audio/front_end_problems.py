"""Which parameters of a front end are invalid, why, and the nearest valid value."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgekws.runtime.front_end import (
    MICRO_PARAMETERS,
    MICROFRONTEND,
    FrontEnd,
    bin_frequencies,
    mel_edges,
)

_LONGEST_FFT = 16_384
"""The longest transform that a message proposes."""

EMPTY_WEIGHT = 1e-3
"""A mel filter with all weights below this holds no FFT bin."""


def problems(front_end: FrontEnd) -> tuple[tuple[str, str], ...]:
    """Return the invalid parameters as `(key, message)`, empty if there are none.

    A message gives the reason and ends with the nearest valid value, `use <key> = <value>`, which
    alone removes that problem.
    """
    if front_end.kind == MICROFRONTEND:
        return tuple(_not_fixed(front_end)) or tuple(_window_problems(front_end))
    invalid = tuple(_not_positive(front_end))
    if invalid:
        return invalid
    invalid = (*_window_problems(front_end), *_frequency_problems(front_end))
    if any(key in ("f_min", "f_max") for key, _ in invalid):
        return invalid
    return (*invalid, *_empty_filters(front_end))


def _not_positive(front_end: FrontEnd) -> Iterator[tuple[str, str]]:
    default = FrontEnd()
    for key, value in front_end.to_dict().items():
        if not isinstance(value, int | float):
            continue
        if key == "f_min":
            if not value >= 0:
                yield key, f"{value} Hz is below zero; use f_min = 0.0"
        elif not value > 0:
            yield key, f"{value} is not positive; use {key} = {getattr(default, key)}"


def _not_fixed(front_end: FrontEnd) -> Iterator[tuple[str, str]]:
    for key, value in MICRO_PARAMETERS.items():
        given = getattr(front_end, key)
        if given != value:
            yield key, f"the micro front end has {value!r}, not {given!r}; use {key} = {value!r}"


def _window_problems(front_end: FrontEnd) -> Iterator[tuple[str, str]]:
    n_fft, win_length = front_end.n_fft, front_end.win_length
    if win_length > n_fft:
        power_of_two = 1 << (win_length - 1).bit_length()
        yield (
            "win_length",
            f"a window of {win_length} samples does not fit into an FFT of {n_fft}; n_fft may be "
            f"any length from {win_length} ({power_of_two} is the next power of two), or else "
            f"use win_length = {n_fft}",
        )
    if front_end.hop_length > win_length:
        yield (
            "hop_length",
            f"a hop of {front_end.hop_length} samples leaves gaps between windows of "
            f"{win_length} samples; use hop_length = {win_length}",
        )
    if front_end.window_samples < n_fft:
        shortest = n_fft / front_end.sample_rate
        yield (
            "window_s",
            f"{front_end.window_s} s are {front_end.window_samples} samples, less than one frame "
            f"of n_fft = {n_fft}; use window_s = {shortest}",
        )


def _frequency_problems(front_end: FrontEnd) -> Iterator[tuple[str, str]]:
    f_min, f_max, nyquist = front_end.f_min, front_end.f_max, front_end.sample_rate / 2
    if f_max > nyquist:
        yield (
            "f_max",
            f"{f_max} Hz is above the highest frequency that a sample rate of "
            f"{front_end.sample_rate} Hz holds; use f_max = {nyquist}",
        )
    if f_min >= f_max:
        below = min(FrontEnd.f_min, f_max / 2)
        yield (
            "f_min",
            f"{f_min} Hz is not below f_max = {f_max} Hz; use f_min = {below}",
        )


def _empty_filters(front_end: FrontEnd) -> Iterator[tuple[str, str]]:
    empty = np.flatnonzero(_peak_weights(front_end) < EMPTY_WEIGHT)
    if not len(empty):
        return
    spacing = front_end.sample_rate / front_end.n_fft
    reason = (
        f"{len(empty)} of {front_end.n_mels} mel filters hold no FFT bin (the first is filter "
        f"{empty[0]}; bins are {spacing:.4g} Hz apart)"
    )
    remedies = [f"{key} = {value}" for key, value in _remedies(front_end)]
    advice = (
        f"use {' or '.join(remedies)}" if remedies else "widen f_min … f_max or lengthen window_s"
    )
    yield "n_mels", f"{reason}; {advice}"


def _remedies(front_end: FrontEnd) -> Iterator[tuple[str, int]]:
    """Yield the largest smaller `n_mels` and the smallest larger `n_fft` without empty filters."""
    # A bin lies inside two filters at most, which bounds the number of filters with a bin.
    most = min(front_end.n_mels - 1, 2 * (front_end.n_fft // 2 + 1))
    for n_mels in range(most, 0, -1):
        if _peak_weights(replace(front_end, n_mels=n_mels)).min() >= EMPTY_WEIGHT:
            yield "n_mels", n_mels
            break
    for n_fft in range(front_end.n_fft + 1, min(front_end.window_samples, _LONGEST_FFT) + 1):
        if _peak_weights(replace(front_end, n_fft=n_fft)).min() >= EMPTY_WEIGHT:
            yield "n_fft", n_fft
            break


def _peak_weights(front_end: FrontEnd) -> NDArray[np.float64]:
    """Return the largest weight of each filter, `(n_mels,)`, at a bin next to its centre."""
    edges, bins = mel_edges(front_end), bin_frequencies(front_end)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    above = np.clip(np.searchsorted(bins, centre), 1, max(len(bins) - 1, 1))
    near = bins[np.minimum(np.stack([above - 1, above]), len(bins) - 1)]  # (2, n_mels)
    # Edges may coincide if the frequencies are close.
    rise, fall = np.maximum(centre - left, 1e-9), np.maximum(right - centre, 1e-9)
    weights = np.minimum((near - left) / rise, (right - near) / fall)
    return np.asarray(np.maximum(weights, 0.0).max(axis=0))
