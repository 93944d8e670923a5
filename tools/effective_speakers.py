"""Measure how many speakers folders of speech hold effectively, by the speaker encoder.

    python tools/effective_speakers.py --output FILE.json NAME=FOLDER[,FOLDER…] …

The speaker of a file is its name up to the first `_`, or without one the name of its folder. The
participation ratio grows with the number of speakers, so it is also given for equal numbers: the
mean over random sets of `SET_SIZES` speakers.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.effective_speakers import (
    CLIPS_EACH,
    MOST_SPEAKERS,
    participation_ratio,
    speaker_vectors,
)
from edgekws.audio.folders import audio_files_under
from edgekws.audio.speaker_weights import INSTALL, weights
from edgekws.core.corpus import Clip
from edgekws.core.environment import cache_folder
from edgekws.core.events import quiet

SET_SIZES = (20,)
SETS = 200


def main() -> int:
    """Measure the folders and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="+", metavar="NAME=FOLDER[,FOLDER…]")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.json")
    options = parser.parse_args()
    file = weights()
    if file is None:
        print(f"the speaker encoder is not installed: {INSTALL}", file=sys.stderr)
        return 6
    rows = []
    for text in options.sets:
        name, _, folders = text.partition("=")
        speakers = _speakers([Path(folder) for folder in folders.split(",")])
        vectors = speaker_vectors(speakers, file, cache_folder(), quiet)
        rows.append({"name": name, "speakers": len(speakers), **_ratios(vectors)})
        print(json.dumps(rows[-1], ensure_ascii=False))
    table = {
        "most_speakers": MOST_SPEAKERS,
        "clips_each": CLIPS_EACH,
        "set_sizes": SET_SIZES,
        "sets": SETS,
        "rows": rows,
    }
    text = json.dumps(table, ensure_ascii=False, indent=1)
    options.output.write_text(text + "\n", encoding="utf-8")
    return 0


def _speakers(folders: list[Path]) -> dict[str, list[Clip]]:
    speakers: dict[str, list[Clip]] = defaultdict(list)
    for folder in folders:
        for path in audio_files_under(folder, Counter()):
            name, found, _ = path.name.partition("_")
            speaker = f"{folder.name}/{name if found else path.parent.name}"
            speakers[speaker].append(Clip(path, path.parent.name, speaker, "train"))
    return speakers


def _ratios(vectors: NDArray[np.float32]) -> dict[str, Any]:
    """Return the ratio of all vectors, and the mean of random sets of each size, if smaller."""
    rng = np.random.default_rng(0)
    ratios: dict[str, float] = {}
    for size in SET_SIZES:
        if size <= len(vectors):
            draws = [rng.choice(len(vectors), size, replace=False) for _ in range(SETS)]
            ratios[str(size)] = float(np.mean([participation_ratio(vectors[d]) for d in draws]))
    everyone = participation_ratio(vectors)
    return {"sampled": len(vectors), "effective": everyone, "of_sets": ratios}


if __name__ == "__main__":
    sys.exit(main())
