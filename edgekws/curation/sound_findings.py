"""What is wrong with single clips: files, levels, lengths, rates."""

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
"""Clips from which on the median of a class says something."""


def unreadable(e: Evidence) -> Iterator[Finding]:
    """Tell files that are missing, no audio, or damaged."""
    bad = [error.replace(f"{e.root}/", "") for error in e.errors if error]
    if bad:
        over = len(bad) > UNREADABLE_SHARE * len(e.pieces)
        advice = "restore or convert these files, or take them out"
        advice += "; training refuses more than 1 %" if over else "; training leaves them out"
        level: Level = "error" if over else "warning"
        yield finding(level, "unreadable", "clips that cannot be read", bad, len(e.pieces), advice)


def silent(e: Evidence) -> Iterator[Finding]:
    """Tell clips without sound."""
    silent = [e.name(p) for p, s in e.heard() if s.peak_dbfs < SILENT_DBFS]
    if silent:
        advice = "record them again, or take them out; training leaves them out"
        title = f"clips empty or silent (below {SILENT_DBFS:g} dBFS)"
        yield finding("warning", "silent", title, silent, len(e.pieces), advice)


def clipping(e: Evidence) -> Iterator[Finding]:
    """Tell clips whose waves were cut off."""
    bad = sorted(((s.clipped, e.name(p)) for p, s in e.heard() if s.clipped), reverse=True)
    if bad:
        many = len(bad) > CLIPPED_SHARE * len(e.pieces)
        advice = "record with less gain; what is cut off cannot be restored"
        title = f"clips cut off at the top ({CLIPPED_RUN} or more equal samples in a row)"
        told = [f"{name}: {count:,} samples" for count, name in bad]
        yield finding("warning" if many else "note", "clipping", title, told, len(e.pieces), advice)


def lengths(e: Evidence) -> Iterator[Finding]:
    """Tell clips that are too short for a word, or longer than the window."""
    window_s = e.material.front_end.window_s
    audible = [(s.length_s, e.name(p)) for p, s in e.heard() if s.peak_dbfs >= SILENT_DBFS]
    short = sorted(pair for pair in audible if pair[0] < SHORTEST_S)
    long = sorted((pair for pair in audible if pair[0] > window_s + 0.1), reverse=True)
    for code, bad, title, advice in (
        ("short", short, f"clips shorter than {SHORTEST_S:g} s",
         "listen: a word takes longer; they may be cut"),
        ("long", long, f"clips longer than the window of {window_s:g} s",
         "only the loudest window of each is heard: cut the word out (start_s, end_s in a table), "
         "or set a longer front_end.window_s"),
    ):  # fmt: skip
        if bad:
            told = [f"{name}: {length:.2f} s" for length, name in bad]
            yield finding("warning", code, title, told, len(e.pieces), advice)


def faint(e: Evidence) -> Iterator[Finding]:
    """Tell clips that are hardly heard, or hardly rise above their noise."""
    audible = [(p, s) for p, s in e.heard() if s.peak_dbfs >= SILENT_DBFS]
    faint = sorted((s.loud_dbfs, e.name(p)) for p, s in audible if s.loud_dbfs < FAINT_DBFS)
    if faint:
        told = [f"{name}: {level:.0f} dBFS" for level, name in faint]
        title = f"clips that are faint (loud frames below {FAINT_DBFS:g} dBFS)"
        yield finding("warning", "faint", title, told, len(e.pieces),
                       "listen whether there is a word, or record with more gain")  # fmt: skip
    ranges = ((s.loud_dbfs - s.quiet_dbfs, e.name(p)) for p, s in audible if p.label != UNKNOWN)
    near = sorted(pair for pair in ranges if pair[0] < NEAR_NOISE_DB)
    if near:
        told = [f"{name}: {db:.0f} dB" for db, name in near]
        title = f"clips that hardly rise above their noise (less than {NEAR_NOISE_DB:g} dB)"
        yield finding("note", "noisy", title, told, len(e.pieces),
                       "listen whether the word is there, and whole")  # fmt: skip


def class_levels(e: Evidence) -> Iterator[Finding]:
    """Tell classes that could be known by their level."""
    levels: dict[str, list[float]] = {}
    for piece, sound in e.heard():
        levels.setdefault(piece.label, []).append(sound.rms_dbfs)
    medians = {k: float(np.median(v)) for k, v in levels.items() if len(v) >= ENOUGH}
    middle = float(np.median(list(medians.values()))) if medians else 0.0
    off = {k: v - middle for k, v in medians.items() if abs(v - middle) > CLASS_LEVEL_DB}
    if off and len(medians) > 2:
        told = [f"{label}: {db:+.1f} dB" for label, db in sorted(off.items(), key=lambda o: o[1])]
        advice = (
            "a network may learn the level: level the recordings, or set a wide augment.gain_db"
        )
        title = f"classes louder or softer than the others by more than {CLASS_LEVEL_DB:g} dB"
        yield finding("warning", "class_level", title, told, len(medians), advice)


def rates(e: Evidence) -> Iterator[Finding]:
    """Tell classes that could be known by their rate, and clips below that of the front end."""
    of: dict[str, Counter[int]] = {}
    for piece, sound in e.heard():
        of.setdefault(piece.label, Counter())[sound.sample_rate] += 1
    overall: Counter[int] = sum(of.values(), Counter())
    usual = overall.most_common(1)[0][0] if overall else 0
    other = [
        f"{k}: {c.most_common(1)[0][0]} Hz"
        for k, c in of.items()
        if c.most_common(1)[0][0] != usual
    ]
    if other:
        advice = "a network may learn the band width: record all classes alike, or resample all"
        title = f"classes recorded at another rate than the usual {usual} Hz"
        yield finding("warning", "class_rate", title, sorted(other), len(of), advice)
    wanted = e.material.front_end.sample_rate
    low = [f"{e.name(p)}: {s.sample_rate} Hz" for p, s in e.heard() if s.sample_rate < wanted]
    if low:
        advice = f"nothing is above half their rate: set front_end.sample_rate = {min(overall)}"
        title = f"clips with a lower rate than the front end's {wanted} Hz"
        yield finding("warning", "low_rate", title, low, len(e.pieces), advice)


def offset(e: Evidence) -> Iterator[Finding]:
    """Tell clips whose mean is not 0."""
    off = sorted(((abs(s.offset), s.offset, e.name(p)) for p, s in e.heard()
                  if abs(s.offset) > OFFSET), reverse=True)  # fmt: skip
    if off:
        told = [f"{name}: {100 * mean:+.1f} %" for _, mean, name in off]
        title = f"clips with an offset (mean sample beyond {100 * OFFSET:g} % of full scale)"
        yield finding("note", "offset", title, told, len(e.pieces),
                       "the front end does not hear it; others may")  # fmt: skip
