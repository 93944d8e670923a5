"""What a trial got right, by speaker and label: enough for every comparison afterwards."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.core.corpus import Examples


def table(
    logits: NDArray[np.float32], examples: Examples, labels: tuple[str, ...]
) -> dict[str, Any]:
    """Count clips and right ones for every speaker and label, in a form that JSON can hold.

    A clip without a speaker is a group of its own, called after itself. `cells` are rows of group,
    label (both by their place), clips, right ones.
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
