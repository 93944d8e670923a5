"""Findings about single clips: files, levels, lengths, rates."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from edgekws.audio.inspection import CLIPPED_RUN
from edgekws.core.contract import UNKNOWN
from edgekws.curation.evidence import Evidence, Finding, Level, finding
from edgekws.curation.repeats import SILENT_DBFS

UNREADABLE_SHARE = 0.01
CLIPPED_SHARE = 0.05
SHORTEST_S = 0.2
FAINT_DBFS = -50.0
NEAR_NOISE_DB = 10.0
OFFSET = 0.01
CLASS_LEVEL_DB = 6.0
ENOUGH = 10
"""Minimum number of clips for a meaningful median of a class."""


def unreadable(e: Evidence) -> Iterator[Finding]:
    """Find files that are missing, not audio, or damaged."""
    bad = [error.replace(f"{e.root}/", "") for error in e.errors if error]
    if bad:
        over = len(bad) > UNREADABLE_SHARE * len(e.pieces)
        advice = "restore or convert these files, or take them out"
        advice += "; training rejects more than 1 %" if over else "; training leaves them out"
        level: Level = "error" if over else "warning"
        yield finding(level, "unreadable", "clips that cannot be read", bad, len(e.pieces), advice)


def silent(e: Evidence) -> Iterator[Finding]:
    """Find clips without sound."""
    silent = [e.name(p) for p, s in e.readable() if s.peak_dbfs < SILENT_DBFS]
    if silent:
        advice = "record them again, or take them out; training leaves them out"
        title = f"clips empty or silent (below {SILENT_DBFS:g} dBFS)"
        yield finding("warning", "silent", title, silent, len(e.pieces), advice)


def clipping(e: Evidence) -> Iterator[Finding]:
    """Find clipped clips."""
    bad = sorted(((s.clipped, e.name(p)) for p, s in e.readable() if s.clipped), reverse=True)
    if bad:
        many = len(bad) > CLIPPED_SHARE * len(e.pieces)
        advice = "record with less gain; clipping cannot be undone"
        title = f"clipped clips ({CLIPPED_RUN} or more consecutive samples at the ceiling)"
        items = [f"{name}: {count:,} samples" for count, name in bad]
        level: Level = "warning" if many else "note"
        yield finding(level, "clipping", title, items, len(e.pieces), advice)


def lengths(e: Evidence) -> Iterator[Finding]:
    """Find clips that are too short for a word, or longer than the window."""
    window_s = e.source.front_end.window_s
    audible = [(s.length_s, e.name(p)) for p, s in e.readable() if s.peak_dbfs >= SILENT_DBFS]
    short = sorted(pair for pair in audible if pair[0] < SHORTEST_S)
    long = sorted((pair for pair in audible if pair[0] > window_s + 0.1), reverse=True)
    for code, bad, title, advice in (
        ("short", short, f"clips shorter than {SHORTEST_S:g} s",
         "listen to them: a word is longer; they may be truncated"),
        ("long", long, f"clips longer than the window of {window_s:g} s",
         "only the loudest window of each is used: cut the word out (start_s, end_s in a table), "
         "or set a longer front_end.window_s"),
    ):  # fmt: skip
        if bad:
            items = [f"{name}: {length:.2f} s" for length, name in bad]
            yield finding("warning", code, title, items, len(e.pieces), advice)


def faint(e: Evidence) -> Iterator[Finding]:
    """Find clips that are faint, or hardly above their noise."""
    audible = [(p, s) for p, s in e.readable() if s.peak_dbfs >= SILENT_DBFS]
    faint = sorted((s.loud_dbfs, e.name(p)) for p, s in audible if s.loud_dbfs < FAINT_DBFS)
    if faint:
        items = [f"{name}: {level:.0f} dBFS" for level, name in faint]
        title = f"faint clips (loud frames below {FAINT_DBFS:g} dBFS)"
        yield finding("warning", "faint", title, items, len(e.pieces),
                       "check by ear for a word, or record with more gain")  # fmt: skip
    ranges = ((s.loud_dbfs - s.quiet_dbfs, e.name(p)) for p, s in audible if p.label != UNKNOWN)
    near = sorted(pair for pair in ranges if pair[0] < NEAR_NOISE_DB)
    if near:
        items = [f"{name}: {db:.0f} dB" for db, name in near]
        title = f"clips hardly above their noise (less than {NEAR_NOISE_DB:g} dB)"
        yield finding("note", "noisy", title, items, len(e.pieces),
                       "check by ear that the word is complete")  # fmt: skip


def class_levels(e: Evidence) -> Iterator[Finding]:
    """Find classes that a network could recognize by their level."""
    levels: dict[str, list[float]] = {}
    for piece, sound in e.readable():
        levels.setdefault(piece.label, []).append(sound.rms_dbfs)
    medians = {k: float(np.median(v)) for k, v in levels.items() if len(v) >= ENOUGH}
    middle = float(np.median(list(medians.values()))) if medians else 0.0
    off = {k: v - middle for k, v in medians.items() if abs(v - middle) > CLASS_LEVEL_DB}
    if off and len(medians) > 2:
        items = [f"{label}: {db:+.1f} dB" for label, db in sorted(off.items(), key=lambda o: o[1])]
        advice = "a network may learn the level: normalize the recordings, or widen augment.gain_db"
        title = f"classes louder or softer than the others by more than {CLASS_LEVEL_DB:g} dB"
        yield finding("warning", "class_level", title, items, len(medians), advice)


def rates(e: Evidence) -> Iterator[Finding]:
    """Find classes that a network could recognize by their rate, and clips with a low rate."""
    rates: dict[str, Counter[int]] = {}
    for piece, sound in e.readable():
        rates.setdefault(piece.label, Counter())[sound.sample_rate] += 1
    overall: Counter[int] = sum(rates.values(), Counter())
    usual = overall.most_common(1)[0][0] if overall else 0
    other = [
        f"{k}: {c.most_common(1)[0][0]} Hz"
        for k, c in rates.items()
        if c.most_common(1)[0][0] != usual
    ]
    if other:
        advice = "a network may learn the bandwidth: record all classes alike, or resample all"
        title = f"classes recorded at another rate than the usual {usual} Hz"
        yield finding("warning", "class_rate", title, sorted(other), len(rates), advice)
    rate = e.source.front_end.sample_rate
    low = [f"{e.name(p)}: {s.sample_rate} Hz" for p, s in e.readable() if s.sample_rate < rate]
    if low:
        advice = f"nothing is above half their rate: set front_end.sample_rate = {min(overall)}"
        title = f"clips with a lower rate than the front end's {rate} Hz"
        yield finding("warning", "low_rate", title, low, len(e.pieces), advice)


def offset(e: Evidence) -> Iterator[Finding]:
    """Find clips with a mean other than 0."""
    off = sorted(((abs(s.offset), s.offset, e.name(p)) for p, s in e.readable()
                  if abs(s.offset) > OFFSET), reverse=True)  # fmt: skip
    if off:
        items = [f"{name}: {100 * mean:+.1f} %" for _, mean, name in off]
        title = f"clips with an offset (mean sample beyond {100 * OFFSET:g} % of full scale)"
        yield finding("note", "offset", title, items, len(e.pieces),
                       "the front end ignores it; others may not")  # fmt: skip
