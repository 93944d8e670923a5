"""Fields that several datasets have: keywords, the filler classes, and who is held out."""

import re
from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from edgekws.core.corpus import NearCopies
from edgekws.datasets.listing.labels import keyword_problem
from edgekws.datasets.listing.word_folders import word_name


def _once(keywords: tuple[str, ...] | None) -> tuple[str, ...] | None:
    for keyword, count in Counter(map(word_name, keywords or ())).items():
        if count > 1:
            raise ValueError(f"{keyword!r} is named {count} times")
        if problem := keyword_problem(keyword):
            raise ValueError(problem)
    return keywords


def _has_a_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from error
    if pattern and not groups:
        raise ValueError("has no group; put the speaker in parentheses, as in ^([^_]+)_")
    return pattern


Keywords = Annotated[
    tuple[str, ...] | None,
    Field(min_length=1, description="Words to spot, in the order of the labels; default all"),
    AfterValidator(_once),
]
Unknown = Annotated[
    bool, Field(description="The words that are no keywords become the class _unknown_")
]
MaxUnknownRatio = Annotated[
    float | None,
    Field(
        gt=0,
        le=10_000,
        description="At most so many training clips of _unknown_ for each clip of a mean keyword; "
        "default all",
    ),
]
NoiseFolder = Annotated[
    Path | None,
    Field(
        description="Folder of noise recordings, for _silence_ and for augmentation; default "
        "_background_noise_ under the root where there is one"
    ),
]
Silence = Annotated[
    bool | None,
    Field(description="A class _silence_ of windows cut from the noise; default: where noise is"),
]
SilenceRatio = Annotated[
    float,
    Field(
        gt=0,
        le=100,
        description="Clips of _silence_ for each clip of a mean keyword, in each split",
    ),
]
DevFraction = Annotated[
    float,
    Field(gt=0, lt=1, description="Share of the speakers of train held out for dev"),
]
TestFraction = Annotated[
    float,
    Field(gt=0, lt=1, description="Share of all speakers held out for test, where none is given"),
]
NearCopiesRule = Annotated[
    NearCopies,
    Field(
        description="What is done where two splits hold one recording at another level, shifted or "
        "re-encoded: refuse the data, or leave out the clip nearer to train (as is done with "
        "identical clips)"
    ),
]
SpeakerPattern = Annotated[
    str,
    Field(
        max_length=500,
        description="Regular expression whose first group is the speaker in a file name; empty: "
        "speakers are not known",
    ),
    AfterValidator(_has_a_group),
]
