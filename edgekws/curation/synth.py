"""Words spoken by synthesizers into a folder in the layout of Speech Commands."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from edgekws.core.canonical import sha256_of
from edgekws.core.corpus import SPLITS, Split
from edgekws.core.environment import cache_folder
from edgekws.core.events import Emit, Event
from edgekws.core.kinds import closest
from edgekws.core.output import write_text
from edgekws.core.paths import path_problem
from edgekws.core.protocols import Synthesizer
from edgekws.core.source_code import closure
from edgekws.core.speech import Cast, Voice
from edgekws.curation.folder import is_complete, partial_folder
from edgekws.curation.source import read_fields
from edgekws.datasets.listing.labels import label_problem, word_name
from edgekws.datasets.listing.speakers import ranked
from edgekws.datasets.listing.tables import read_text
from edgekws.datasets.synthesis.held_out import Engine, HeldOut, speaking_splits
from edgekws.datasets.synthesis.pronunciation import check_language
from edgekws.datasets.synthesis.rendering import Format, Utterance, VoiceTask, render
from edgekws.datasets.synthesis.voices import (
    EngineVoices,
    by_share,
    people_apart,
    voices_per_split,
)
from edgekws.datasets.synthetic import Dataset
from edgekws.errors import DataError, UsageError
from edgekws.synthesizers.speaking.espeak_ng import Espeak, accents_of

COLUMNS = ("path", "label", "speaker", "split", "text", "accent", "variant", "synthesizer")
LISTS = {"dev": "validation_list.txt", "test": "testing_list.txt"}
HELD_OUT = 0.15
"""Share of the clips of a word, and of the variants, in each of dev and test."""


@dataclass(frozen=True)
class Spoken:
    """The written clips: their number, voices and splits; every word has as many."""

    output: Path
    words: tuple[str, ...]
    clips: int
    voices: int
    splits: dict[str, int]


class _Line(NamedTuple):
    word: str
    split: str
    engine: Synthesizer
    voice: Voice
    utterance: Utterance

    @property
    def row(self) -> tuple[str, ...]:
        voice, utterance = self.voice, self.utterance
        names = (speaker_name(voice), self.split, utterance.text, voice.code, voice.variant)
        return (utterance.path, self.word, *names, self.engine.kind)


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a comma-separated list, or of a file with a word or phrase per line.

    Raises:
        UsageError: there are no words, or one cannot name a folder.
        DataError: the file is not UTF-8.
    """
    if path_problem(text) is None and Path(text).expanduser().exists():
        lines = read_text(Path(text).expanduser()).splitlines()
        entries = [line for line in lines if not line.startswith("#")]
    else:
        entries = text.split(",")
    words = tuple(word_name(word.strip()) for word in entries if word.strip())
    if not words:
        raise UsageError(f"{text!r}: name words separated by commas, or a file with one per line")
    for word in words:
        if problem := label_problem(word):
            raise UsageError(problem)
        if "/" in word or word.startswith((".", "_")):
            raise UsageError(f"{word!r} cannot name a folder; spell it with letters")
    return words


def synth(
    words: Sequence[str],
    output: Path,
    language: str,
    clips: int,
    voices: str | None,
    seed: int,
    overrides: Sequence[str],
    emit: Emit,
) -> Spoken:
    """Write `<word>/<voice>_nohash_<n>.wav`, 16 bit, a manifest, and lists of dev and test.

    A voice is an accent with a variant, of the engines that `overrides` name (`dataset.voices`,
    without it espeak-ng); `voices` is their number, or their names. A family of variants that sound
    alike is in one split only. The same words, options and library versions
    give the same bytes.

    Raises:
        DataError: espeak-ng does not speak the language or a word in it, two words sound the same,
            one is too long, or no voice is left for train.
        UsageError: a voice is unknown, `output` has other content, or an engine runs a program,
            which was not allowed.
        MissingPartError: an engine is not installed.
    """
    table = {"kind": "synthetic", "keywords": list(words), "language": language}
    fields = read_fields(table, overrides)
    front_end = fields.front_end.front_end()
    dataset = Dataset.model_validate(fields.dataset.model_dump())
    keywords, engines = dataset.keywords, dataset.voices
    about = {
        "words": list(keywords),
        "language": language,
        "clips": clips,
        "voices": voices,
        "engines": [engine.model_dump(mode="json") for engine in engines],
        "seed": seed,
        "sample_rate": front_end.sample_rate,
        "window_s": front_end.window_s,
        "versions": {
            name: version(name) for name in ("espeakng-loader", "numpy", "soxr", "soundfile")
        },
    }
    fingerprints = [engine.fingerprint() for engine in engines]
    identity = sha256_of(about | {"source": closure([__name__]), "speech": fingerprints})
    check_language(language, keywords)
    chosen = _voices(engines, keywords[0], language, voices, seed, dataset.held_out)
    lines = _plan(keywords, chosen, clips, seed)
    if is_complete(output, identity, ()):
        emit(Event("note", f"{output} exists already, with the same content"))
        return _spoken(output, lines)
    with partial_folder(output, identity) as partial:
        form = Format(front_end.sample_rate, front_end.window_samples)
        render(_tasks(lines), form, seed, partial.folder, emit, cache_folder())
        _write_lists(partial.folder, lines)
        partial.finish([COLUMNS, *(line.row for line in lines)], about)
    return _spoken(output, lines)


def speaker_name(voice: Voice) -> str:
    """Return the voice's name for a file name, without `_` and spaces."""
    return voice.name.replace("_", "-").replace(" ", "-")


def _voices(
    engines: Sequence[Synthesizer],
    probe: str,
    language: str,
    asked: str | None,
    seed: int,
    held_out: HeldOut,
) -> dict[Split, list[EngineVoices]]:
    """Return the voices of each split in random order; one engine with few has all in train."""
    with Espeak() as espeak:
        accents = accents_of(language, espeak.accents())
    by_number = asked is None or asked.isdecimal()
    casts = [engine.cast(accents, probe if by_number else None, seed) for engine in engines]
    every = [voice for cast in casts for of in cast.voices.values() for voice in of]
    chosen = _some(every, asked, seed) if by_number else _by_name(every, asked or "")
    voices: dict[Split, list[EngineVoices]] = {split: [] for split in SPLITS}
    parts = [Engine(e, _part(cast, chosen)) for e, cast in zip(engines, casts, strict=True)]
    named = [entry for entry in parts if entry.cast.families]
    for (engine, part), splits in zip(named, speaking_splits(named, held_out)[0], strict=True):
        enough = len(part.families) >= len(splits)
        for split, of in voices_per_split(part, seed, splits if enough else splits[:1]).items():
            if drawn := _drawn(set(of) & set(chosen), seed):
                voices[split].append(EngineVoices(engine, tuple(drawn)))
    apart, notes = people_apart(voices)
    if not apart["train"]:
        raise DataError(f"no voice is left for train ({'; '.join(notes)}); name others in --voices")
    return apart


def _part(cast: Cast, chosen: Sequence[Voice]) -> Cast:
    """Return the families of a cast that have a chosen voice, without their other timbres."""
    timbres = {voice.variant for voice in chosen}
    parts = [tuple(v for v in family if v in timbres) for family in cast.families]
    return cast._replace(families=tuple(filter(None, parts)))


def _some(every: Sequence[Voice], asked: str | None, seed: int) -> list[Voice]:
    count = len(every) if asked is None else int(asked)
    if not 1 <= count <= len(every):
        raise UsageError(f"--voices {asked}: from 1 to the {len(every)} of this language")
    return _drawn(every, seed)[:count]


def _by_name(every: Sequence[Voice], asked: str) -> list[Voice]:
    chosen: list[Voice] = []
    for name in (part.strip() for part in asked.split(",")):
        matches = [voice for voice in every if name in (voice.name, voice.variant)]
        if not matches:
            known = (*dict.fromkeys(v.variant for v in every), *(v.name for v in every))
            raise UsageError(f"--voices {name}: there is no such voice{closest(name, known)[:300]}")
        chosen += matches
    return chosen


def _drawn(voices: Collection[Voice], seed: int) -> list[Voice]:
    by_name = {voice.name: voice for voice in voices}
    return [by_name[name] for name in ranked(by_name, ["voices", seed])]


def _plan(
    words: Sequence[str], voices: dict[Split, list[EngineVoices]], clips: int, seed: int
) -> list[_Line]:
    lines = []
    for index, word in enumerate(words):
        number = 0
        takes = Counter[Voice]()
        for split, count in _shares(clips, voices).items():
            for _, (engine, voice) in zip(range(count), by_share(voices[split]), strict=False):
                path = f"{word}/{speaker_name(voice)}_nohash_{takes[voice]}.wav"
                utterance = Utterance(word, path, index * 1_000_000 + number, fit="whole")
                listed = split if voices["dev"] else ""
                lines.append(_Line(word, listed, engine, voice, utterance))
                takes[voice] += 1
                number += 1
    return lines


def _shares(clips: int, voices: dict[Split, list[EngineVoices]]) -> dict[Split, int]:
    """Return the number of clips of a word in each split; too few clips are all in train."""
    if not voices["dev"] or not voices["test"] or clips < len(SPLITS):
        return {"train": clips, "dev": 0, "test": 0}
    held_out = max(round(HELD_OUT * clips), 1)
    return {"train": clips - 2 * held_out, "dev": held_out, "test": held_out}


def _tasks(lines: Sequence[_Line]) -> list[VoiceTask]:
    by_voice: dict[Voice, tuple[Synthesizer, list[Utterance]]] = {}
    for line in lines:
        by_voice.setdefault(line.voice, (line.engine, []))[1].append(line.utterance)
    return [VoiceTask(engine, voice, tuple(said)) for voice, (engine, said) in by_voice.items()]


def _write_lists(folder: Path, lines: Sequence[_Line]) -> None:
    for split, name in LISTS.items():
        listed = [line.utterance.path for line in lines if line.split == split]
        if listed:
            write_text(folder / name, "\n".join(listed) + "\n")


def _spoken(output: Path, lines: Sequence[_Line]) -> Spoken:
    splits: dict[str, int] = {}
    for line in lines:
        splits[line.split or "not split"] = splits.get(line.split or "not split", 0) + 1
    words = tuple(dict.fromkeys(line.word for line in lines))
    return Spoken(output, words, len(lines), len({line.voice for line in lines}), splits)
