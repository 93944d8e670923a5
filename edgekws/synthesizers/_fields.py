"""Fields that every synthesizer has."""

from collections import Counter
from typing import Annotated

from pydantic import AfterValidator, Field

from edgekws.core.corpus import SPLITS, Split


def _once(splits: tuple[Split, ...]) -> tuple[Split, ...]:
    for split, count in Counter(splits).items():
        if count > 1:
            raise ValueError(f"{split!r} is named {count} times")
    return splits


Share = Annotated[
    float,
    Field(gt=0, le=1000, description="Share of the clips, relative to the other engines"),
]
Splits = Annotated[
    tuple[Split, ...],
    Field(
        min_length=1,
        description='Splits that it speaks in; ["test"] tests on an engine unseen in training',
    ),
    AfterValidator(_once),
]
ALL: tuple[Split, ...] = SPLITS
