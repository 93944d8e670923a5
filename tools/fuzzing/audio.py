"""Recordings: headers that lie, bodies that are broken, formats that are others than said."""

import io
import struct
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import soundfile

from tools.fuzzing import material
from tools.fuzzing.case import ANY_INPUT, DATA, Box, Case
from tools.fuzzing.damage import damaged

_FORMS = (
    ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "DOUBLE"), ("WAV", "ULAW"),
    ("WAV", "PCM_U8"), ("WAV", "IMA_ADPCM"), ("WAV", "GSM610"), ("WAVEX", "PCM_16"),
    ("RF64", "PCM_16"), ("W64", "PCM_16"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16"),
    ("CAF", "PCM_16"), ("AU", "PCM_16"), ("VOC", "PCM_16"), ("NIST", "PCM_16"),
)  # fmt: skip
_RATES = (8000, 16_000, 11_025, 44_100, 48_000)
_HEADER_RATES = (0, 1, 7, 999, 1000, 4000, 192_000, 384_000, 768_000, 2**31 - 1, 2**32 - 1)
_SAMPLES = (0.0, 1.0, -1.0, float("nan"), float("inf"), 1e30, 1e-40)
_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".WAV", ".au", ".raw", ".opus", "")


def prepare(folder: Path) -> None:
    """Write a bundle."""
    material.bundle(folder)


def make(rng: Random, folder: Path, box: Box) -> Case:
    """Write one or two recordings, and ask for what is heard in them."""
    bundle = str(folder / "bundle")
    word = box.inputs / "word"
    word.mkdir()
    for n in range(rng.choice((1, 1, 2))):
        name = f"{n}{rng.choice(_SUFFIXES[:5] if rng.random() < 0.8 else _SUFFIXES)}"
        (word / name).write_bytes(recording(rng))
    files = sorted(map(str, word.iterdir()))
    how = rng.randrange(10)
    json = ("--json",) if rng.random() < 0.4 else ()
    if how < 4:
        return Case(("predict", bundle, str(box.inputs), "--output", "labels.csv", *json), DATA)
    if how < 7:
        return Case(("detect", bundle, *files, *json), DATA)
    if how < 9:
        out = rng.choice((".", "page.html"))
        return Case(("data", "explore", str(box.inputs), "--output", out, *json), DATA)
    rate = rng.choice((1000, 8000, 44_100, 768_000, 0, -1, 10**9))
    arguments = ("detect", bundle, "-", "--rate", str(rate), *json)
    return Case(arguments, ANY_INPUT, stdin=recording(rng) * rng.choice((0, 1, 1, 3)))


def recording(rng: Random) -> bytes:
    """Return the bytes of a recording that is, four times of five, not sound."""
    if rng.random() < 0.02:
        return rng.choice(
            (b"", b"RIFF", b"fLaC", b"OggS", b"ID3", bytes(4096), rng.randbytes(3000))
        )
    data = _lying(rng) if rng.random() < 0.35 else _encoded(rng)
    return damaged(rng, data) if rng.random() < 0.6 else data


def _encoded(rng: Random) -> bytes:
    form, subtype = rng.choice(_FORMS)
    rate = 48_000 if subtype == "OPUS" else 8000 if subtype == "GSM610" else rng.choice(_RATES)
    channels = 1 if subtype == "GSM610" else rng.choice((1, 1, 2, 2))
    length = rng.choice((0, 1, 2, 100, 4000, 16_000, 40_000))
    samples = np.sin(np.arange(length * channels) * 0.2).reshape(-1, channels) * rng.choice(
        (0, 0.3, 1)
    )
    if length and subtype in ("FLOAT", "DOUBLE") and rng.random() < 0.6:
        samples[rng.randrange(length)] = rng.choice(_SAMPLES)
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype, format=form)
    return file.getvalue()


def _lying(rng: Random) -> bytes:
    """Return a WAV file written by hand, whose header says something else than its body."""
    bits = rng.choice((0, 1, 7, 8, 12, 16, 16, 24, 32, 64, 255, 65_535))
    channels = rng.choice((0, 1, 1, 2, 3, 6, 255, 1024, 65_535))
    rate = rng.choice((*_RATES, *_HEADER_RATES))
    code = rng.choice((0, 1, 1, 1, 2, 3, 6, 7, 17, 49, 85, 0xFFFE, 65_535))
    align = rng.choice((channels * bits // 8, 0, 1, 65_535)) & 0xFFFF
    form = struct.pack("<HHIIHH", code, channels, rate, (rate * align) & 0xFFFFFFFF, align, bits)
    body = rng.randbytes(rng.choice((0, 1, 3, 1000, 32_000)))
    parts = [(b"fmt ", form), (b"data", body)]
    for _ in range(rng.choice((0, 0, 1, 3))):
        name = rng.choice((b"LIST", b"fact", b"JUNK", b"data", b"fmt ", b"cue ", b"smpl", b"bext"))
        parts.insert(rng.randrange(len(parts) + 1), (name, rng.randbytes(rng.choice((0, 4, 33)))))
    chunks = b"".join(name + struct.pack("<I", _size(rng, part)) + part for name, part in parts)
    return b"RIFF" + struct.pack("<I", _size(rng, chunks)) + b"WAVE" + chunks


def _size(rng: Random, part: Any) -> int:
    """Return the size of a chunk, or one that it does not have."""
    true = len(part)
    return true if rng.random() < 0.7 else rng.choice((0, true + 1, true * 2, 2**31, 2**32 - 1))
