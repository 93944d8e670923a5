"""Clips: the listing of a dataset, rejected clips, and the examples of a split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgekws.core.contract import SILENCE, UNKNOWN

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

REAL_PEOPLE, OTHER_ENGINE = "real people", "other engine"
SAME_ENGINE = "same engine, held-out voices"

NEVER_ON_PEOPLE = "tested on synthetic voices only, never on real people"
ALARMS_NOT_OF_PEOPLE = "false alarms are counted in synthetic speech, not among people"

NearCopies = Literal["refuse", "leave_out"]
"""How to handle a recording that appears, re-encoded or altered, in two splits."""


@dataclass(frozen=True)
class Clip:
    """One labelled piece of audio; `end_s=None` is the end of the file.

    `word` is the word in a clip of `_unknown_`, if it is known; `synthesizer` is the engine that
    spoke the clip, `None` for a recording of a person or of noise. What precedes a clip in its file
    came before it.
    """

    path: Path
    label: str
    speaker: str | None
    split: Split
    start_s: float = 0.0
    end_s: float | None = None
    word: str | None = None
    synthesizer: str | None = None


@dataclass(frozen=True)
class Listing:
    """The clips of a dataset, before any audio is read.

    `noise` are the recordings that augmentation mixes in (train only). `notes` are lines for the
    report: how the splits were made, what was left out and why; `caveats` are the notes that must
    accompany every figure.

    If `clips` are windows cut from longer recordings, `recordings` lists the recordings: words with
    their times, and `_unknown_` without times for recordings without a keyword. `negatives` are
    speech without a keyword, of each split: parts of recordings that are at least a window long.
    """

    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    noise: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    recordings: tuple[Clip, ...] = ()
    negatives: tuple[Clip, ...] = ()
    near_copies: NearCopies = "refuse"
    caveats: tuple[str, ...] = ()

    @property
    def kind_of_test(self) -> str:
        """Who speaks the keywords of the test split; empty if it has none."""
        return describe_test(kinds_of_test(self.clips))

    @property
    def test_caveats(self) -> tuple[str, ...]:
        """The caveat of a test without real people, or with none in its speech; or empty."""
        kinds = kinds_of_test(self.clips)
        if kinds and REAL_PEOPLE not in kinds:
            return (NEVER_ON_PEOPLE,)
        speech = {clip.synthesizer for clip in self.negatives if clip.split == "test"}
        return (ALARMS_NOT_OF_PEOPLE,) if kinds and speech and None not in speech else ()


def kinds_of_test(clips: Iterable[Clip]) -> dict[str, tuple[str, ...]]:
    """Return the engines that speak the keywords of test, by the kind of test that they make.

    An engine that also speaks keywords of training makes a test on the `SAME_ENGINE`. Real people
    are a kind without engines.

    >>> a = Clip(Path("a.wav"), "on", "en+f1", "train", synthesizer="espeak")
    >>> b = Clip(Path("b.wav"), "on", "en+f2", "test", synthesizer="espeak")
    >>> c = Clip(Path("c.wav"), "on", "awb", "test", synthesizer="flite")
    >>> kinds_of_test([a, b, c])
    {'same engine, held-out voices': ('espeak',), 'other engine': ('flite',)}
    """
    keywords = [clip for clip in clips if clip.label not in (UNKNOWN, SILENCE)]
    trained = {clip.synthesizer for clip in keywords if clip.split == "train"}
    kinds: dict[str, set[str]] = {SAME_ENGINE: set(), OTHER_ENGINE: set()}
    tested = {clip.synthesizer for clip in keywords if clip.split == "test"}
    for engine in tested - {None}:
        kinds[SAME_ENGINE if engine in trained else OTHER_ENGINE].add(str(engine))
    spoken = {kind: tuple(sorted(engines)) for kind, engines in kinds.items() if engines}
    return spoken | ({REAL_PEOPLE: ()} if None in tested else {})


def describe_test(kinds: dict[str, tuple[str, ...]]) -> str:
    """Return the kinds of test as words.

    >>> describe_test({OTHER_ENGINE: ("flite", "piper"), REAL_PEOPLE: ()})
    'other engine (flite, piper) and real people'
    """
    names = (f"{kind} ({', '.join(of)})" if of else kind for kind, of in kinds.items())
    return " and ".join(names)


@dataclass(frozen=True)
class Rejected:
    """A clip that was left out, and the reason: unreadable, empty, silent or duplicate."""

    path: Path
    label: str
    split: Split
    reason: Literal["unreadable", "empty", "silent", "duplicate"]
    detail: str


def count_clips(clips: Sequence[Clip | Rejected]) -> str:
    """Return the number of clips as words, and of their recordings if some share one.

    >>> [count_clips([Rejected(Path("a.wav"), "yes", "dev", "silent", "")] * n) for n in (1, 3)]
    ['1 clip', '3 clips of 1 recording']
    """
    recordings = len({clip.path for clip in clips})
    counts = ((len(clips), "clip"), (recordings, "recording"))
    words = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts]
    return " of ".join(words) if recordings < len(clips) else words[0]


@dataclass(frozen=True)
class Examples:
    """The clips of one split as arrays.

    `features` is `(N, n_mels, T)` float32, normalised log-mel without augmentation;
    `targets` `(N,)` int64 indices into the labels; `speakers` `(N,)` strings, empty if unknown;
    `names` one readable name per clip; `unheard` `(N,)` marks the clips of `_unknown_` whose word
    no training clip has, `None` if there are none.
    """

    features: NDArray[np.float32]
    targets: NDArray[np.int64]
    speakers: NDArray[np.str_]
    names: tuple[str, ...]
    unheard: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.targets)
