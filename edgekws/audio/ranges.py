"""Ranges of draws in a recipe: lowest and highest value."""

from typing import Annotated

from pydantic import AfterValidator, Field


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"[{value[0]}, {value[1]}] is not [lowest, highest]")
    return value


def at_share(bounds: tuple[float, float], share: float) -> float:
    """Return the value at `share` of the way from the lowest to the highest.

    >>> at_share((10.0, 20.0), 0.25)
    12.5
    """
    return bounds[0] + share * (bounds[1] - bounds[0])


_Decibels = Annotated[float, Field(ge=-200, le=200)]

DecibelRange = Annotated[tuple[_Decibels, _Decibels], AfterValidator(_ordered)]
"""Lowest and highest level of a uniform draw, in dB."""

_Seconds = Annotated[float, Field(gt=0, le=60)]
_Semitones = Annotated[float, Field(ge=-12, le=12)]
_Speed = Annotated[float, Field(ge=0.5, le=2)]
_Formant = Annotated[float, Field(ge=0.7, le=1.4)]
_Hertz = Annotated[float, Field(gt=0, le=100_000)]

SecondsRange = Annotated[tuple[_Seconds, _Seconds], AfterValidator(_ordered)]
"""A range of positive times, in seconds."""

SpeedRange = Annotated[tuple[_Speed, _Speed], AfterValidator(_ordered)]
"""A range of speeds, half to twice the original."""

SemitoneRange = Annotated[tuple[_Semitones, _Semitones], AfterValidator(_ordered)]
"""A range of pitch shifts, an octave down to an octave up."""

FormantRange = Annotated[tuple[_Formant, _Formant], AfterValidator(_ordered)]
"""A range of formant warps: each multiplies the frequencies of all formants."""

HertzRange = Annotated[tuple[_Hertz, _Hertz], AfterValidator(_ordered)]
"""A range of frequencies, in Hz."""
