"""From recordings to a listing: choose labels, hold out speakers, cut `_silence_`."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgekws.audio.folders import ignored_line
from edgekws.audio.opening import length_s
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import SPLITS, Clip, Listing, Split
from edgekws.core.kinds import closest
from edgekws.datasets.listing.labels import BACKGROUND_NOISE, misnamed, word_name
from edgekws.datasets.listing.negatives import list_negatives
from edgekws.datasets.listing.silence import noise_per_split, noise_recordings, silence_clips
from edgekws.datasets.listing.source import existing
from edgekws.datasets.listing.speakers import ranked
from edgekws.datasets.listing.splits import Rule, caveats, refuse_shared, split_clips, split_notes
from edgekws.datasets.listing.windows import Cut, Windows, cut_notes, cut_windows
from edgekws.datasets.listing.word_folders import Recordings
from edgekws.datasets.synthesis.spoken_sentences import Sentences
from edgekws.errors import DataError
from edgekws.runtime.front_end import FrontEnd


class Choice(NamedTuple):
    """A recipe's choice of labels; the fields are those of the datasets."""

    keywords: tuple[str, ...] | None
    unknown: bool
    max_unknown_ratio: float | None
    silence: bool | None
    silence_ratio: float


def choose_keywords(
    choice: Choice, words: Collection[str], source: Path, missing: str
) -> tuple[str, ...]:
    """Return the keywords, composed (NFC) unlike some file names; default: all words.

    Raises:
        DataError: a keyword is not among `words`, there are no words (`missing` is the message),
            or a word has a usual name of a filler class or of noise.
    """
    known = tuple(sorted(set(words) - {UNKNOWN, SILENCE}))
    if not known:
        raise DataError(f"{source}: {missing}")
    for word in sorted(set(known) - set(choice.keywords or ())):
        if advice := misnamed(word):
            raise DataError(f"{source}: {advice}")
    keywords = tuple(map(word_name, choice.keywords or known))
    for keyword in keywords:
        if keyword not in known:
            every = f"; known: {', '.join(known)}"
            hint = closest(keyword, known)
            raise DataError(
                f"{source}: keyword {keyword!r} has no recordings{hint}"
                f"{every if hint != every else ''}"
            )
    return keywords


def labels_of(
    choice: Choice, keywords: Sequence[str], words: Collection[str], *, noise: bool
) -> tuple[str, ...]:
    """Return the labels: keywords, `_unknown_` if there are other words, `_silence_` if any."""
    unknown = choice.unknown and bool(set(words) - {*keywords, SILENCE})
    silence = choice.silence if choice.silence is not None else noise or SILENCE in words
    return (*keywords, *[UNKNOWN] * unknown, *[SILENCE] * silence)


def list_recordings(
    contents: Recordings,
    choice: Choice,
    keywords: Sequence[str],
    rule: Rule,
    noise: tuple[Path, ...],
    front_end: FrontEnd,
    seed: int,
    source: Path,
    windows: Windows | None = None,
    negatives: Sequence[Path] = (),
    speak: Callable[[], Sentences] | None = None,
) -> Listing:
    """Split the recordings, cut windows and `_silence_`, cap `_unknown_`, and list all clips.

    `negatives` are sources of recordings without a keyword, and `speak` synthesises sentences
    without one: they are `_unknown_` where no other word is. Windows are cut as `windows` says,
    `_silence_` from the noise. If there are recordings of `_silence_`, none is cut from the noise
    unless the choice has `silence = true`.

    Raises:
        DataError: there are too few speakers or noise recordings to split, a keyword has no clips
            in some split, or windows are cut from a recording with clips in two splits.
    """
    words = {r.word for r in contents.recordings}
    if choice.unknown and (speak or negatives or (windows and windows.gives_unknown)):
        words.add(UNKNOWN)
    labels = labels_of(choice, keywords, words, noise=bool(noise))
    used = [r for r in contents.recordings if r.word in labels or _is_unknown(r.word, labels)]
    clips = split_clips(used, keywords, rule, seed, source)
    speech = list_negatives(negatives, clips, rule, seed, source, contents.ignored)
    sentences = speak() if speak else Sentences()
    speech += sentences.clips
    warnings = caveats(clips, rule)
    notes = split_notes(contents, clips, rule) + _left_out(contents, choice, words - {*keywords})
    notes += sentences.notes
    recordings: list[Clip] = []
    cut = Cut(clips, free=speech)
    if windows:
        refuse_shared(clips, source)
        recordings = clips + speech
        cut = cut_windows(clips, speech, windows, front_end.window_s, keywords, seed)
        notes += cut_notes(cut, keywords, front_end.window_s, source)
    if UNKNOWN in labels:
        window_s = front_end.window_s
        cut.clips.extend(_speech_windows(speech, cut.clips, keywords, window_s, seed))
    clips = _capped(cut.clips, keywords, choice.max_unknown_ratio, seed, notes)
    silence = SILENCE in labels and (choice.silence is True or SILENCE not in words)
    per_split = noise_per_split(noise, seed, silence)
    if silence:
        means = {split: mean_count(clips, keywords, split) for split in SPLITS}
        counts = {split: max(round(choice.silence_ratio * n), 1) for split, n in means.items()}
        clips += cut_silence(per_split, counts, front_end, seed)
    notes.append(noise_note(per_split))
    notes += unheard_notes(clips)
    return Listing(
        labels,
        tuple(clips),
        per_split["train"],
        tuple(notes),
        tuple(recordings),
        tuple(cut.free),
        caveats=tuple(warnings),
    )


def find_noise(
    noise: Path | None, root: Path, silence: bool, ignored: Counter[str]
) -> tuple[Path, ...]:
    """Return the recordings of the folder `noise`, or of `_background_noise_` next to the words.

    `ignored` counts files that are not recordings.

    Raises:
        DataError: the folder is missing or empty, or there is none but `silence` needs it.
    """
    beside = root / BACKGROUND_NOISE
    folder = noise.expanduser() if noise else beside if beside.is_dir() else None
    if folder is not None:
        return noise_recordings(existing(folder), ignored)
    if silence:
        raise DataError(
            f"{root}: _silence_ needs noise recordings; give dataset.noise, put them in "
            f"{beside}, or set silence = false"
        )
    return ()


def _left_out(contents: Recordings, choice: Choice, others: Collection[str]) -> list[str]:
    """Return lines for the report: files that are not recordings, and words without a label."""
    notes = ignored_line(contents.ignored)
    words = sorted(set(others) - {SILENCE})
    if words and not choice.unknown:
        notes.append(f"unknown = false leaves out: {', '.join(words)}")
    if SILENCE in others and choice.silence is False:
        notes.append("silence = false leaves out the recordings of _silence_")
    return notes


def mean_count(clips: Sequence[Clip], keywords: Sequence[str], split: Split) -> float:
    """Return the mean number of clips per keyword in `split`."""
    chosen = frozenset(keywords)
    return sum(c.split == split and c.label in chosen for c in clips) / len(keywords)


def at_most(clips: Sequence[Clip], most: int, salt: object) -> list[Clip]:
    """Return at most `most` of `clips`, drawn by a hash of `salt` and their names, in order."""
    names = [f"{c.path.parent.name}/{c.path.name}@{c.start_s:g}" for c in clips]
    kept = frozenset(ranked(names, salt)[:most])
    return [clip for clip, name in zip(clips, names, strict=True) if name in kept][:most]


def cut_silence(
    noise: dict[Split, tuple[Path, ...]], counts: dict[Split, int], front_end: FrontEnd, seed: int
) -> list[Clip]:
    """Return `counts` windows of each split, cut from the noise recordings of that split."""
    return [
        clip
        for split, count in counts.items()
        for clip in silence_clips(noise[split], count, front_end.window_s, split, seed)
    ]


def _speech_windows(
    speech: Sequence[Clip],
    clips: Sequence[Clip],
    keywords: Sequence[str],
    window_s: float,
    seed: int,
) -> list[Clip]:
    """Return windows of `speech` as `_unknown_`, for each split whose `clips` have none.

    They are as many as the mean keyword has clips in that split.
    """
    windows = []
    for place, split in enumerate(SPLITS):
        own = [clip for clip in speech if clip.split == split]
        if not own or any(c.split == split and c.label == UNKNOWN for c in clips):
            continue
        rng = np.random.default_rng([seed, place])
        count = max(round(mean_count(clips, keywords, split)), 1)
        for n in rng.choice(len(own), count, replace=count > len(own)):
            clip = own[n]
            last_s = (length_s(clip.path) if clip.end_s is None else clip.end_s) - window_s
            start_s = round(float(rng.uniform(clip.start_s, max(last_s, clip.start_s))), 3)
            end_s = round(start_s + window_s, 3)
            windows.append(replace(clip, start_s=start_s, end_s=end_s))
    return windows


def noise_note(per_split: dict[Split, tuple[Path, ...]]) -> str:
    """Return the line for the report with the numbers of noise recordings."""
    if not any(per_split.values()):
        return "no noise recordings: no _silence_ can be cut, and no noise mixed in"
    counts = ", ".join(f"{split} {len(per_split[split])}" for split in SPLITS)
    return f"noise recordings per split: {counts}; no recording is in two"


def unheard_notes(clips: Sequence[Clip]) -> list[str]:
    """Return the line for the report on words of `_unknown_` that no training clip has."""
    words = {split: {c.word for c in clips if c.split == split and c.word} for split in SPLITS}
    held_out = {split: words[split] - words["train"] for split in SPLITS[1:]}
    if not any(words.values()):
        return []
    if not any(held_out.values()):
        return [
            "every word of _unknown_ in dev and test is in train too: figures do not show how "
            "often an unseen word is taken for a keyword"
        ]
    counts = ", ".join(
        f"{split} {len(held_out[split])} of {len(words[split])}" for split in held_out
    )
    return [f"words of _unknown_ that train has not: {counts}; measured apart as unheard_accepted"]


def _is_unknown(word: str, labels: Sequence[str]) -> bool:
    return UNKNOWN in labels and word != SILENCE


def _capped(
    clips: list[Clip], keywords: Sequence[str], ratio: float | None, seed: int, notes: list[str]
) -> list[Clip]:
    unknown = [c for c in clips if c.split == "train" and c.label == UNKNOWN]
    if ratio is None or not unknown:
        return clips
    most = max(round(ratio * mean_count(clips, keywords, "train")), 1)
    kept = at_most(unknown, most, ["unknown", seed])
    if len(kept) == len(unknown):
        return clips
    notes.append(f"_unknown_ in train: {len(kept)} of {len(unknown)}, by max_unknown_ratio")
    dropped = set(unknown) - set(kept)
    return [clip for clip in clips if clip not in dropped]
