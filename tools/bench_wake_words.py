"""A pair of `export --to esphome` against the models that others ship for the same wake word.

    python tools/bench_wake_words.py alexa --pair alexa/alexa.json --speech librispeech ...
        [--voice '{"kind": "flite"}' ...] [--noise FOLDER] [--work FOLDER] [--output FILE.json]

The others are those of pymicro-wakeword and pyopen-wakeword, each run by its package. The pair is
run by pymicro-wakeword. All hear the same audio, as streams of 16 kHz in pieces of 80 ms:

- clips of the word, spoken at three speeds by every voice of the engines `--voice`, each amid
  silence (noise at -60 dBFS), amid recordings of `--noise` 10 dB below the word, and amid speech.
  A clip is found if the score exceeds the threshold from its start to one second after its end.
- the recordings of `--speech`, in which nobody says the word. Scores above the threshold are false
  alarms, one for each two seconds.

Intervals are by voice and by speaker. The CPU time is that of a package in Python, front end
included, over the recordings. Clips and scores are kept in `--work`, so that the next run with the
same arguments continues.
"""

import argparse
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from edgekws.audio.folders import audio_files_under
from edgekws.audio.reading import read_audio
from edgekws.core.canonical import sha256_file, sha256_of
from edgekws.core.events import quiet
from edgekws.core.output import write_text
from edgekws.core.protocols import SYNTHESIZER
from edgekws.core.speech import Manner
from edgekws.datasets.synthesis.room import trimmed
from edgekws.exporters._esphome_folder import RECORD
from edgekws.metrics.event_intervals import alarms_per_hour, group_recordings, miss_rate
from edgekws.spotting.labelled_audio import list_negatives
from edgekws.synthesizers.speaking.espeak_ng import Espeak, accents_of

RATE = 16_000
PIECE = 1280
LEAD_S, BEFORE_S, AFTER_S, PAUSE_S = 2.0, 2.0, 1.5, 0.15
LEVEL_DB, SILENCE_DB, NOISE_DB = -24.0, -60.0, -34.0
SPEEDS_WPM = (145, 170, 195)
LATE_S = 1.0
"""A clip is found up to so long after its end."""

REFRACTORY_S = 2.0
STREAM_S = 300.0
"""Recordings are joined into streams about as long."""

OPEN_CUTOFF = 0.5
"""The default of pyopen-wakeword's command line."""

RATES = (0.5, 1.0, 2.0, 5.0, 10.0)
Wave = NDArray[np.float32]
Array = NDArray[np.float64]


class Span(NamedTuple):
    """A part of a stream: a clip of the word, or a recording without it; times in seconds."""

    speaker: str
    name: str
    amid: str
    start_s: float
    end_s: float


class Stream(NamedTuple):
    """Samples at 16 kHz, and the parts that count."""

    samples: NDArray[np.int16]
    spans: tuple[Span, ...]


class Heard(NamedTuple):
    """Scores `(n,)` with their times in a stream, in seconds, and the CPU time they took."""

    times: Array
    scores: Array
    cpu_s: float


@dataclass(frozen=True)
class Model:
    """A model and the package that runs it; `shared` are the bytes that all its words share."""

    name: str
    runs: str
    identity: str
    cutoff: float
    size: int
    shared: int
    listen: Callable[[bytes], Iterator[tuple[float, float]]]


def micro(name: str, manifest: Path) -> Model:
    """Return a model of micro_wake_word, with its manifest's cutoff."""
    from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures

    config = json.loads(manifest.read_text("utf-8"))
    file = manifest.parent / config["model"]

    def listen(audio: bytes) -> Iterator[tuple[float, float]]:
        consumer = MicroWakeWord.from_config(manifest)
        features = MicroWakeWordFeatures()
        frame = 0
        for start in range(0, len(audio), 2 * PIECE):
            for values in features.process_streaming(audio[start : start + 2 * PIECE]):
                score, frame = consumer.process_streaming_prob(values), frame + 1
                if frame % consumer.stride == 0:
                    yield frame / 100 + 0.02, score or 0.0

    cutoff = float(config["micro"]["probability_cutoff"])
    known = sha256_of([sha256_file(file), config["micro"]["sliding_window_size"]])
    return Model(name, "pymicro-wakeword", known, cutoff, file.stat().st_size, 0, listen)


def open_wake_word(name: str, word: str) -> Model:
    """Return a model of pyopen-wakeword, with the embedding that all its words share."""
    import pyopen_wakeword

    folder = Path(pyopen_wakeword.__file__).parent / "models"
    file = folder / f"{word}.tflite"
    shared = sum(
        (folder / f"{part}.tflite").stat().st_size for part in ("embedding_model", "melspectrogram")
    )

    def listen(audio: bytes) -> Iterator[tuple[float, float]]:
        model = pyopen_wakeword.OpenWakeWord.from_model(file)
        features = pyopen_wakeword.OpenWakeWordFeatures.from_builtin()
        for start in range(0, len(audio), 2 * PIECE):
            piece = audio[start : start + 2 * PIECE]
            for vectors in features.process_streaming(piece):
                for score in model.process_streaming(vectors):
                    yield (start + len(piece)) / 2 / RATE, score

    return Model(
        name, "pyopen-wakeword", sha256_file(file), OPEN_CUTOFF, file.stat().st_size, shared, listen
    )


def models(word: str, pair: Path | None) -> list[Model]:
    """Return the pair, if any, and the models for the word that the packages ship."""
    import pymicro_wakeword

    shipped = Path(pymicro_wakeword.__file__).parent / "models" / f"{word}.json"
    ours = [] if pair is None else [micro("edgekws", pair)]
    return [*ours, micro("microWakeWord", shipped), open_wake_word("openWakeWord", word)]


def spoken(word: str, voices: Sequence[str], work: Path) -> dict[tuple[str, str], list[Wave]]:
    """Return clips of the word by engine and voice, at three speeds."""
    clips: dict[tuple[str, str], list[Wave]] = {}
    with Espeak() as espeak:
        accents = accents_of("en", espeak.accents())
    for fields in voices:
        engine = SYNTHESIZER.validate_python(json.loads(fields))
        cast = engine.cast(accents, word, 0)
        known = sha256_of([engine.fingerprint(), word, SPEEDS_WPM])[:16]
        for timbre in cast.voices.values():
            voice = timbre[0]
            path = work / f"clips-{known}-{voice.variant.replace('/', '_')}.npz"
            if not path.is_file():
                with engine.speaker(voice) as speaker:
                    takes = [
                        soxr.resample(
                            trimmed(speaker.say(word, Manner(wpm))), speaker.sample_rate, RATE
                        )
                        for wpm in SPEEDS_WPM
                    ]
                np.savez(path, *takes)
            with np.load(path) as takes_file:
                clips[engine.kind, voice.name] = [takes_file[key] for key in takes_file.files]
    return clips


def at_level(wave: Wave, db: float) -> Wave:
    """Return a waveform with an RMS of so many dB below full scale."""
    rms = max(float(np.sqrt(np.mean(np.square(wave)))), 1e-9)
    return np.asarray(wave * (10 ** (db / 20) / rms), np.float32)


def hiss(samples: int, rng: np.random.Generator) -> Wave:
    """Return white noise that stands for silence."""
    return at_level(rng.standard_normal(samples).astype(np.float32), SILENCE_DB)


def as_int16(wave: Wave) -> NDArray[np.int16]:
    """Return a waveform as 16-bit samples."""
    return np.asarray(np.clip(np.rint(wave * 32767), -32768, 32767), np.int16)


def excerpt(material: Wave, samples: int, rng: np.random.Generator) -> Wave:
    """Return a random part of `material`."""
    start = int(rng.integers(len(material) - samples))
    return material[start : start + samples]


def surrounded(clip: Wave, amid: str, material: Wave, rng: np.random.Generator) -> tuple[Wave, int]:
    """Return a clip with what is around it, and the sample at which it starts."""
    before, after, pause = (round(s * RATE) for s in (BEFORE_S, AFTER_S, PAUSE_S))
    size = before + len(clip) + after
    whole = hiss(size, rng)
    if amid == "noise":
        whole += at_level(excerpt(material, size, rng), NOISE_DB)
    if amid == "speech":
        whole[: before - pause] += at_level(excerpt(material, before - pause, rng), LEVEL_DB)
        whole[before + len(clip) + pause :] += at_level(
            excerpt(material, after - pause, rng), LEVEL_DB
        )
    whole[before : before + len(clip)] += at_level(clip, LEVEL_DB)
    return whole, before


def clip_streams(
    clips: dict[tuple[str, str], list[Wave]], material: dict[str, Wave]
) -> Iterator[Stream]:
    """Yield a stream of every voice: each clip amid silence, noise and speech."""
    for number, ((engine, voice), takes) in enumerate(clips.items()):
        rng = np.random.default_rng([7, number])
        parts, spans, at = [hiss(round(LEAD_S * RATE), rng)], [], round(LEAD_S * RATE)
        for amid in material:
            for clip in takes:
                whole, before = surrounded(clip, amid, material[amid], rng)
                start = at + before
                ends = (start / RATE, (start + len(clip)) / RATE)
                spans.append(Span(f"{engine} {voice}", engine, amid, *ends))
                parts.append(whole)
                at += len(whole)
        yield Stream(as_int16(np.concatenate(parts)), tuple(spans))


def speech_streams(sources: Sequence[Path]) -> Iterator[Stream]:
    """Yield the recordings of folders, joined into streams; each folder in them is a speaker."""
    rng = np.random.default_rng(7)
    lead = hiss(round(LEAD_S * RATE), rng)
    parts, spans, at = [lead], [], len(lead)
    for recording in list_negatives(sources, quiet):
        wave = read_audio(recording.path, RATE, recording.start_s, recording.end_s)
        ends = (at / RATE, (at + len(wave)) / RATE)
        spans.append(Span(recording.speaker, str(recording.path), "", *ends))
        parts.append(wave)
        at += len(wave)
        if at > STREAM_S * RATE:
            yield Stream(as_int16(np.concatenate(parts)), tuple(spans))
            parts, spans, at = [lead], [], len(lead)
    if spans:
        yield Stream(as_int16(np.concatenate(parts)), tuple(spans))


def hear(model: Model, stream: Stream, work: Path) -> Heard:
    """Return the scores of a stream, from `work` if they are there."""
    audio = stream.samples.tobytes()
    known = sha256_of([model.identity, version(model.runs), sha256_of(audio.hex())])[:24]
    path = work / f"scores-{known}.npz"
    if not path.is_file():
        start = time.process_time()
        rows = list(model.listen(audio))
        cpu_s = time.process_time() - start
        times, scores = np.array(rows, np.float64).T
        np.savez(path, times=times, scores=scores, cpu_s=cpu_s)
    with np.load(path) as file:
        return Heard(file["times"], file["scores"], float(file["cpu_s"]))


def highest(stream: Stream, heard: Heard) -> list[float]:
    """Return the highest score of each clip, up to `LATE_S` after it."""
    times, scores = heard.times, heard.scores
    return [
        float(scores[(times >= span.start_s) & (times <= span.end_s + LATE_S)].max(initial=0.0))
        for span in stream.spans
    ]


def alarms(stream: Stream, heard: Heard, cutoff: float) -> list[int]:
    """Return how often each recording's score exceeds a cutoff, once in `REFRACTORY_S`."""
    counts, free = [0] * len(stream.spans), 0.0
    starts = [span.start_s for span in stream.spans]
    for at in heard.times[heard.scores > cutoff]:
        if at >= free and at >= LEAD_S:
            counts[int(np.searchsorted(starts, at, side="right")) - 1] += 1
            free = at + REFRACTORY_S
    return counts


def figure(value: float, ci95: tuple[float, float] | None, **counts: float) -> dict[str, Any]:
    """Return a figure with its interval, rounded for the file."""
    bounds = None if ci95 is None else [round(bound, 4) for bound in ci95]
    return {**counts, "value": round(value, 4), "ci95": bounds}


def missed(clips: Sequence[tuple[Span, float]], cutoff: float) -> dict[str, Any]:
    """Return the share of clips with their highest scores not found, with an interval by voice."""
    misses = np.array([top <= cutoff for _, top in clips], np.int64)
    groups = group_recordings([(span.speaker, span.name) for span, _ in clips])
    ci95 = miss_rate(misses, np.ones(len(clips), np.int64), groups).ci95
    return figure(float(misses.mean()), ci95, misses=int(misses.sum()), clips=len(clips))


@dataclass(frozen=True)
class Results:
    """What one model heard: the clips with their highest scores, and its scores of the speech."""

    model: Model
    clips: list[tuple[Span, float]]
    speech: list[tuple[Stream, Heard]]

    def false_alarms(self, cutoff: float) -> dict[str, Any]:
        """Return the false alarms an hour, with their interval by speaker."""
        spans = [span for stream, _ in self.speech for span in stream.spans]
        counts = [n for stream, heard in self.speech for n in alarms(stream, heard, cutoff)]
        seconds = np.array([span.end_s - span.start_s for span in spans])
        groups = group_recordings([(span.speaker, span.name) for span in spans])
        hours = float(seconds.sum()) / 3600
        ci95 = alarms_per_hour(np.array(counts, np.int64), seconds, groups).ci95
        return figure(sum(counts) / hours, ci95, alarms=sum(counts), hours=round(hours, 3))

    @property
    def tops(self) -> Array:
        """The highest score of each clip."""
        return np.array([top for _, top in self.clips])

    def by(self, key: Callable[[Span], str]) -> dict[str, Any]:
        """Return the misses at the model's own cutoff, by a property of the clips."""
        parts: defaultdict[str, list[tuple[Span, float]]] = defaultdict(list)
        for clip in self.clips:
            parts[key(clip[0])].append(clip)
        return {name: missed(clips, self.model.cutoff) for name, clips in parts.items()}

    def curve(self) -> list[dict[str, float]]:
        """Return misses against false alarms an hour, over the scores of the clips as cutoffs."""
        grid = np.unique(np.quantile([0.0, *self.tops], np.linspace(0, 1, 101), method="lower"))
        return [
            {
                "cutoff": round(float(cutoff), 5),
                "miss_rate": round(float(np.mean(self.tops <= cutoff)), 4),
                "false_alarms_per_hour": round(self.false_alarms(float(cutoff))["value"], 3),
            }
            for cutoff in grid
        ]

    def at_rate(self, rate: float) -> dict[str, Any]:
        """Return the fewest misses with at most so many false alarms an hour."""
        candidates = np.unique([0.0, *self.tops])
        low, high = 0, len(candidates) - 1
        while low < high:  # the lowest cutoff that keeps the rate
            middle = (low + high) // 2
            fits = self.false_alarms(float(candidates[middle]))["value"] <= rate
            low, high = (low, middle) if fits else (middle + 1, high)
        cutoff = float(candidates[low])
        return {"per_hour": rate, "cutoff": round(cutoff, 5)} | missed(self.clips, cutoff)

    def record(self) -> dict[str, Any]:
        """Return all figures of the model."""
        model, cutoff = self.model, self.model.cutoff
        audio_s = sum(len(stream.samples) for stream, _ in self.speech) / RATE
        cpu_s = sum(heard.cpu_s for _, heard in self.speech)
        return {
            "name": model.name,
            "runs": f"{model.runs} {version(model.runs)}",
            "bytes": model.size,
            "shared_bytes": model.shared,
            "cpu_ms_per_s": round(1000 * cpu_s / audio_s, 2),
            "cutoff": cutoff,
            "misses": missed(self.clips, cutoff),
            "false_alarms": self.false_alarms(cutoff),
            "amid": self.by(lambda span: span.amid),
            "engines": self.by(lambda span: span.name),
            "rates": [self.at_rate(rate) for rate in RATES],
            "curve": self.curve(),
        }


def run(model: Model, clips: Iterable[Stream], speech: Iterable[Stream], work: Path) -> Results:
    """Return what a model heard in all streams."""
    tops: list[tuple[Span, float]] = []
    for stream in clips:
        tops += zip(stream.spans, highest(stream, hear(model, stream, work)), strict=True)
    return Results(model, tops, [(stream, hear(model, stream, work)) for stream in speech])


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("word", help="as the packages spell it: alexa, hey_jarvis, …")
    parser.add_argument("--pair", type=Path, help="manifest of the exported model")
    parser.add_argument("--speech", type=Path, nargs="+", required=True)
    parser.add_argument("--noise", type=Path)
    parser.add_argument("--voice", nargs="+", default=['{"kind": "flite"}'], metavar="JSON")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    speech = list(speech_streams(options.speech))
    material: dict[str, Wave] = {"silence": np.zeros(0, np.float32)}
    if options.noise:
        files = audio_files_under(options.noise, Counter())
        material["noise"] = np.concatenate([read_audio(path, RATE) for path in files])
    around = [stream.samples for stream in speech_streams(options.speech[:1])]
    material["speech"] = np.asarray(np.concatenate(around) / 32768, np.float32)
    clips = list(
        clip_streams(spoken(options.word.replace("_", " "), options.voice, options.work), material)
    )
    voices = len({span.speaker for stream in clips for span in stream.spans})
    rows = []
    for model in models(options.word, options.pair):
        rows.append(run(model, clips, speech, options.work).record())
        misses, false_alarms = rows[-1]["misses"], rows[-1]["false_alarms"]
        print(
            f"{model.name}: {misses['value']:.1%} of {misses['clips']} clips missed, "
            f"{false_alarms['value']:.1f} false alarms/h, {rows[-1]['cpu_ms_per_s']} ms/s",
            flush=True,
        )
    if options.output:
        known: dict[str, Any] = {"word": options.word, "voices": voices, "models": rows}
        if options.pair:
            known["export"] = json.loads((options.pair.parent / RECORD).read_text("utf-8"))
        write_text(options.output, json.dumps(known, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
