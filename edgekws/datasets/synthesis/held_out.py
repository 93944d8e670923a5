"""Which engine speaks in which splits: test holds out a whole engine where one can be spared."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

from edgekws.core.corpus import SPLITS, Split
from edgekws.core.protocols import Synthesizer
from edgekws.core.speech import Cast

HeldOut = Literal["auto", "engine", "voices"]

LEAST_VOICES = 3
"""Of an engine that test alone hears: one or two voices say little about others."""

MOST_VOICES = 10
"""Of an engine that `auto` holds out: more are missed in training."""


class Engine(NamedTuple):
    """An engine and its voices."""

    engine: Synthesizer
    cast: Cast

    def usable(self, splits: Sequence[Split]) -> tuple[Split, ...]:
        """Return those of `splits` that it has voices for, the first alone if these are few."""
        allowed = tuple(split for split in splits if split in self.engine.splits)
        return allowed if len(self.cast.families) >= len(allowed) else allowed[:1]


def speaking_splits(
    engines: Sequence[Engine], held_out: HeldOut
) -> tuple[list[tuple[Split, ...]], list[str]]:
    """Return the splits that each engine speaks in, and notes on what is held out.

    A single engine speaks in all of its splits, even with too few voices for them. With several,
    one that speaks in test and not in train is the only kind that does so, unless `held_out` is
    `voices`. If there is none, the kind with the fewest voices becomes it: one of `LEAST_VOICES` to
    `MOST_VOICES` for `auto`, with any number from `LEAST_VOICES` for `engine`. A note says where
    `engine` finds none.
    """
    if len(engines) == 1:
        own = tuple(split for split in SPLITS if split in engines[0].engine.splits)
        return [own], _none_spared(held_out)
    named = [entry.usable(SPLITS) for entry in engines]
    if held_out == "voices":
        return named, []
    by_split = {
        split: {e.engine.kind for e, splits in zip(engines, named, strict=True) if split in splits}
        for split in ("train", "test")
    }
    if unheard := by_split["test"] - by_split["train"]:
        rest = [entry.usable(SPLITS[:2]) for entry in engines]
        kept = [r if "train" in n else n for r, n in zip(rest, named, strict=True)]
        return kept, [f"test hears {', '.join(sorted(unheard))} alone, which training never hears"]
    spared = _spared(engines, held_out)
    if not spared:
        return named, _none_spared(held_out)
    note = f'held_out = "{held_out}" holds {spared} out for test, which training never hears'
    return [
        ("test",) if entry.engine.kind == spared else entry.usable(SPLITS[:2]) for entry in engines
    ], [note]


def _none_spared(held_out: HeldOut) -> list[str]:
    """Return a note if an engine was to be held out."""
    if held_out != "engine":
        return []
    return [
        f'held_out = "engine" holds none out: no engine with {LEAST_VOICES} voices or more can be '
        "spared in training"
    ]


def _spared(engines: Sequence[Engine], held_out: HeldOut) -> str | None:
    """Return the kind with the fewest voices that test can have alone, if there is one."""
    voices: dict[str, int] = defaultdict(int)
    for entry in engines:
        voices[entry.engine.kind] += sum(map(len, entry.cast.families))
    most = MOST_VOICES if held_out == "auto" else max(voices.values())
    for kind in sorted(voices, key=lambda kind: (voices[kind], kind)):
        own = [entry for entry in engines if entry.engine.kind == kind]
        others = [entry.usable(SPLITS[:2]) for entry in engines if entry.engine.kind != kind]
        enough = {split for splits in others for split in splits} == {"train", "dev"}
        in_test = all("test" in entry.engine.splits for entry in own)
        if LEAST_VOICES <= voices[kind] <= most and enough and in_test:
            return kind
    return None
