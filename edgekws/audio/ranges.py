"""Lowest and highest value of a draw, as a recipe gives them."""

from typing import Annotated

from pydantic import AfterValidator, Field


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"[{value[0]}, {value[1]}] is not [lowest, highest]")
    return value


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
"""Lowest and highest value of a uniform draw."""

_Positive = Annotated[float, Field(gt=0)]
_Semitones = Annotated[float, Field(ge=-12, le=12)]
_Speed = Annotated[float, Field(ge=0.5, le=2)]

PositiveRange = Annotated[tuple[_Positive, _Positive], AfterValidator(_ordered)]
"""A range of what is above 0."""

SpeedRange = Annotated[tuple[_Speed, _Speed], AfterValidator(_ordered)]
"""A range of speeds, half to twice that of the recording."""

SemitoneRange = Annotated[tuple[_Semitones, _Semitones], AfterValidator(_ordered)]
"""A range of pitches, an octave down to one up."""
