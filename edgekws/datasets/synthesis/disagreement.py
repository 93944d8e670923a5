"""Find synthetic keywords that do not sound like their label, by a pre-trained embedding.

Engines swallow or confuse some words in some voices, and what the network learns from such a clip
is wrong. A logistic head on the vectors of the embedding is trained on all voices but some, and
says what these say, so that no clip is judged by a head that has heard its voice.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekws.core.canonical import sha256_of
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import Clip, Listing
from edgekws.core.embedding import Embedding
from edgekws.core.events import Emit
from edgekws.core.store import build_folder
from edgekws.errors import DataError
from edgekws.runtime.front_end import FrontEnd

FOLDS = 5
"""Parts of the voices, each judged by a head that was trained on the others."""

INVERSE_STRENGTH = 0.1
"""Of the head's L2 regularization, on standardized vectors."""

_BLOCK = 32
_FILE = "judged.json"


class Judgement(NamedTuple):
    """What a head that never heard the voice takes a clip for.

    `margin` is the probability of the likeliest other label minus that of its own, in -1 … 1.
    """

    label: str
    margin: float


def judged(
    vectors: NDArray[np.float32], labels: Sequence[str], voices: Sequence[str]
) -> list[Judgement | None]:
    """Return the judgement on each of the `vectors` `(N, size)`, from `FOLDS` parts of the voices.

    It is `None` where no other voice says the label, or there is no other voice.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    results: list[Judgement | None] = [None] * len(labels)
    folds = min(FOLDS, len(set(voices)))
    if folds < 2:
        return results
    named = np.array(labels)
    for rest, part in GroupKFold(folds).split(vectors, groups=voices):
        if len(set(named[rest])) < 2:
            continue
        head = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=INVERSE_STRENGTH, class_weight="balanced", max_iter=1000),
        )
        head.fit(vectors[rest], named[rest])
        known = [str(label) for label in head.classes_]
        for place, row in zip(part, head.predict_proba(vectors[part]), strict=True):
            results[place] = _judgement(row, labels[place], known)
    return results


def _judgement(row: NDArray[np.float64], label: str, known: Sequence[str]) -> Judgement | None:
    if label not in known:
        return None
    own = known.index(label)
    others = np.where(np.arange(len(known)) == own, -1.0, row)
    return Judgement(known[int(others.argmax())], float(others.max() - row[own]))


def without_disagreeing(
    listing: Listing,
    least: float,
    embedding: Embedding,
    front_end: FrontEnd,
    identity: str,
    cache: Path,
    emit: Emit,
) -> Listing:
    """Return the listing without the training clips of keywords that sound like another label.

    A clip is left out where the margin of its judgement is `least` or more. Clips of `_unknown_`
    are heard by the head, but stay: near-sounding words are there to be confused. Dev and test
    stay as they are. `identity` is that of the listing; judgements are kept in `cache/judged`.

    Raises:
        DataError: a clip cannot be read, or no training clip of a keyword is left.
        MachineError: the cache cannot be written.
    """
    train = [c for c in listing.clips if c.split == "train" and c.label != SILENCE]
    key = sha256_of(
        {
            "listing": identity,
            "embedding": embedding.sha256,
            "head": [FOLDS, INVERSE_STRENGTH],
            "window": [front_end.sample_rate, front_end.window_samples],
            "versions": [version("onnxruntime"), version("scikit-learn")],
        }
    )

    def build(folder: Path) -> None:
        vectors = _vectors(train, embedding, front_end, emit)
        voices = [str(clip.speaker).partition("+")[2] for clip in train]
        rows = judged(vectors, [clip.label for clip in train], voices)
        (folder / _FILE).write_text(json.dumps(rows), encoding="utf-8")

    folder = build_folder(cache / "judged" / key, build, emit)
    rows = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    dropped = [
        clip
        for clip, row in zip(train, rows, strict=True)
        if clip.label != UNKNOWN and row is not None and row[1] >= least
    ]
    left_out = set(dropped)
    left = {clip.label for clip in train if clip not in left_out}
    if lost := [label for label in dict.fromkeys(c.label for c in dropped) if label not in left]:
        raise DataError(
            f"drop_disagreeing = {least:g} leaves no training clip of {', '.join(lost)}; raise it"
        )
    clips = tuple(clip for clip in listing.clips if clip not in left_out)
    of = sum(clip.label != UNKNOWN for clip in train)
    return replace(listing, clips=clips, notes=(*listing.notes, _note(dropped, of, least)))


def _note(dropped: Sequence[Clip], of: int, least: float) -> str:
    counts = [
        ", ".join(f"{name} {count}" for name, count in Counter(names).most_common())
        for names in ([c.label for c in dropped], [c.synthesizer for c in dropped])
    ]
    parts = f": {counts[0]}; by engine: {counts[1]}" if dropped else ""
    return (
        f"left out of training: {len(dropped)} of {of} clips of keywords, which a head on a speech "
        f"embedding, trained on other voices, takes for another label by {least:g} or more{parts}"
    )


def _vectors(
    clips: Sequence[Clip], embedding: Embedding, front_end: FrontEnd, emit: Emit
) -> NDArray[np.float32]:
    from edgekws.audio.parallel import in_parallel
    from edgekws.audio.reading import read_audio
    from edgekws.audio.waveforms import runner

    compute = runner(embedding, front_end.sample_rate)
    starts = range(0, len(clips), _BLOCK)

    def block(i: int) -> NDArray[np.float32]:
        waves = [
            read_audio(clip.path, front_end.sample_rate)[: front_end.window_samples]
            for clip in clips[starts[i] : starts[i] + _BLOCK]
        ]
        return np.asarray(compute(np.stack(waves)), np.float32)

    text = "judging synthetic clips"
    return np.concatenate(in_parallel(block, len(starts), emit, text, step=2, unit="blocks"))
