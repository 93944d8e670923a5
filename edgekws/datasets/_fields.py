"""Fields shared by several datasets: keywords, filler classes, and held-out speakers."""

import re
from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from edgekws.core.corpus import NearCopies
from edgekws.datasets.listing.labels import keyword_problem, word_name
from edgekws.datasets.synthesis.spoken_sentences import SpokenSentences


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
        raise ValueError(f"is not a regular expression: {error}") from error
    if pattern and not groups:
        raise ValueError("has no group; put the speaker in parentheses, as in ^([^_]+)_")
    return pattern


Keywords = Annotated[
    tuple[str, ...] | None,
    Field(min_length=1, description="Words to spot, in the order of the labels; default: all"),
    AfterValidator(_once),
]
Unknown = Annotated[
    bool, Field(description="Make all words other than the keywords the class _unknown_")
]
MaxUnknownRatio = Annotated[
    float | None,
    Field(
        gt=0,
        le=10_000,
        description="Most training clips of _unknown_, as a multiple of the mean number per "
        "keyword; default: all",
    ),
]
Negatives = Annotated[
    tuple[Path, ...],
    Field(
        description="Speech without a keyword, to train _unknown_ and to count false alarms: audio "
        "files, folders (each folder in them is a speaker) and tables with a column file, and "
        "perhaps speaker, start_s and end_s; split by speaker, a quarter or more each for dev and "
        "test"
    ),
]
Spoken = Annotated[
    SpokenSentences | None,
    Field(
        description="Sentences without a keyword, synthesised on this machine: speech to train "
        "_unknown_ and to count false alarms, where nothing is recorded for negatives, or beside "
        'it: spoken = { language = "en" }'
    ),
]
NoiseFolder = Annotated[
    Path | None,
    Field(
        description="Folder of noise recordings, for _silence_ and for augmentation; default: "
        "_background_noise_ under the root if it exists"
    ),
]
Silence = Annotated[
    bool | None,
    Field(description="A class _silence_ of windows cut from the noise; default: if there is any"),
]
SilenceRatio = Annotated[
    float,
    Field(
        gt=0,
        le=100,
        description="Clips of _silence_ as a multiple of the mean per keyword, in each split",
    ),
]
DevFraction = Annotated[
    float,
    Field(gt=0, lt=1, description="Share of the training speakers held out for dev"),
]
TestFraction = Annotated[
    float,
    Field(gt=0, lt=1, description="Share of all speakers held out for test, if not given"),
]
NearCopiesRule = Annotated[
    NearCopies,
    Field(
        description="If two splits have the same recording at another level, shifted or "
        "re-encoded: refuse the data, or leave out the clip nearer to train (as for identical "
        "clips)"
    ),
]
SpeakerPattern = Annotated[
    str,
    Field(
        max_length=500,
        description="Regular expression; its first group is the speaker in a file name. Empty: "
        "unknown speakers",
    ),
    AfterValidator(_has_a_group),
]
