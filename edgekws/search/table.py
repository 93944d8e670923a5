"""Counts of a trial's correct clips by speaker and label, sufficient for all comparisons."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.core.corpus import Examples


def table(
    logits: NDArray[np.float32], examples: Examples, labels: tuple[str, ...]
) -> dict[str, Any]:
    """Count clips and correct clips for every speaker and label, as JSON data.

    A clip without a speaker is its own group, under its own name. `cells` are rows of group,
    label (both as indices), clips, correct clips.
    """
    right = logits.argmax(axis=1) == examples.targets
    speakers = sorted({str(s) for s in examples.speakers} - {""})
    names = [
        str(s) if s in speakers else clip
        for s, clip in zip(examples.speakers, examples.names, strict=True)
    ]
    alone = sorted(set(names) - set(speakers))
    groups = {name: i for i, name in enumerate([*speakers, *alone])}
    clips: Counter[tuple[int, int]] = Counter()
    hits: Counter[tuple[int, int]] = Counter()
    for i, target in enumerate(examples.targets):
        clips[groups[names[i]], int(target)] += 1
        hits[groups[names[i]], int(target)] += int(right[i])
    cells = [[g, label, n, hits[g, label]] for (g, label), n in sorted(clips.items())]
    return {
        "speakers": len(speakers),
        "groups": list(groups),
        "labels": list(labels),
        "cells": cells,
    }
