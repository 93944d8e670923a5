"""espeak-ng through ctypes: the library and the voices are in the wheel `espeakng-loader`.

The library keeps its state (voice, phases, noise generators) in globals, so its output depends on
earlier calls. A new copy is therefore loaded for each voice, in processes rather than threads; the
same calls then give the same samples. Copies that are loaded at the same time share nothing, except
that the Klatt voices take their noise from the C library.
"""

import _ctypes
import ctypes
import os
import re
import shutil
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgekws.core.kinds import closest
from edgekws.core.scratch import scratch_folder
from edgekws.errors import DataError, MissingPartError

INSTALL = "pip install espeakng-loader"

_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000
_UTF8 = 1
_PHONEMES = 0x100
_RATE, _PITCH, _RANGE = 1, 3, 4
_SEPARATED = ord("|") << 8
_IPA = 2
_MARKS = ",.;:!?"
_LANGUAGE = re.compile(r"\([a-z-]+\)")
"""What precedes words that are read in another language."""

Wave = NDArray[np.float32]

_first = threading.Lock()
"""Held while the library's own file is loaded. It can be loaded once: others load a copy of it."""

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class _Voice(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
    ]


class Espeak:
    """A loaded copy of espeak-ng; unload it with `close`, or use it as a context manager.

    Raises:
        MissingPartError: the wheel is not installed, or its library cannot be loaded.
        MachineError: a second copy finds no temporary folder.
    """

    def __init__(self) -> None:
        """Load the library and its data."""
        library, self.data = _locate()
        with ExitStack() as stack:
            if first := _first.acquire(blocking=False):
                stack.callback(_first.release)
            self._library = _loaded(library) if first else _loaded_copy(library)
            stack.callback(_ctypes.dlclose, self._library._handle)
            self._initialize()
            stack.callback(self._library.espeak_Terminate)
            self._unload = stack.pop_all().close

    def _initialize(self) -> None:
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self.sample_rate: int = self._library.espeak_Initialize(
            _SYNCHRONOUS, 0, os.fsencode(self.data), _DO_NOT_EXIT
        )
        if self.sample_rate <= 0:
            raise MissingPartError(f"{self.data}: espeak-ng cannot read its voices; {INSTALL}")
        self._spoken: list[bytes] = []
        self._callback = _Callback(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)
        # Breath noise comes from its own generator (seeded with the time of day), or in the Klatt
        # voices from that of the C library.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        ctypes.CDLL(None).srand(1)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Unload the library."""
        self.close()

    def close(self) -> None:
        """Unload the library, so that the next copy starts from the same state."""
        self._unload()

    def accents(self) -> tuple[tuple[str, str], ...]:
        """Return (language code, identifier) of every accent: `("en-us", "gmw/en-US")`."""
        accents: list[tuple[str, str]] = []
        voices = self._library.espeak_ListVoices(None)
        while voices[len(accents)]:
            voice = voices[len(accents)].contents
            code = ctypes.string_at(voice.languages + 1).decode()
            accents.append((code, voice.identifier.decode()))
        return tuple(accents)

    def names(self) -> dict[str, str]:
        """Return the shortest code of each language by its English name: `{"german": "de"}`."""
        codes: dict[str, str] = {}
        voices = self._library.espeak_ListVoices(None)
        number = 0
        while voices[number]:
            voice = voices[number].contents
            code = ctypes.string_at(voice.languages + 1).decode()
            name = voice.name.decode().partition(" (")[0].casefold()
            codes[name] = min(codes.get(name, code), code, key=lambda c: (len(c), c))
            number += 1
        return codes

    def use(self, voice: str) -> None:
        """Select `voice`: an accent's identifier, `+` and a variant, `gmw/en-US+f1`.

        Raises:
            DataError: there is no such voice.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise DataError(f"espeak-ng has no voice {voice!r}")

    def say(self, text: str, rate_wpm: int = 170, pitch: int = 50, lively: int = 50) -> Wave:
        """Return `text` as float32 `(samples,)` at `sample_rate`; `[[…]]` encloses phonemes.

        `rate_wpm` is in words per minute; `pitch` and `lively` (the pitch range) are 0 … 99.
        """
        self._spoken.clear()
        for parameter, value in ((_RATE, rate_wpm), (_PITCH, pitch), (_RANGE, lively)):
            self._library.espeak_SetParameter(parameter, value, 0)
        data = text.encode() + b"\0"
        self._library.espeak_Synth(
            data, ctypes.c_size_t(len(data)), 0, 1, 0, _UTF8 | _PHONEMES, None, None
        )
        samples = np.frombuffer(b"".join(self._spoken), dtype="<i2")
        return samples.astype(np.float32) / np.float32(32768)

    def phonemes(self, text: str) -> tuple[tuple[str, ...], ...]:
        """Return the phonemes of each word of `text`, in espeak-ng's notation.

        Stress precedes the vowel: `lights` is `(("l", "'aI", "t", "s"),)`.
        """
        data = ctypes.create_string_buffer(text.encode())
        place = ctypes.c_void_p(ctypes.addressof(data))
        words: list[tuple[str, ...]] = []
        while place.value:
            clause = self._library.espeak_TextToPhonemes(ctypes.byref(place), _UTF8, _SEPARATED)
            text = clause.decode().replace("|;", ";")  # palatal: a mark of the sound before it
            words += [tuple(filter(None, word.split("|"))) for word in text.split()]
        return tuple(word for word in words if word)

    def ipa(self, text: str) -> str:
        """Return `text` in the International Phonetic Alphabet, with its punctuation.

        `[[…]]` encloses phonemes; words of another language are not marked.
        """
        self.say("")  # the library then reads [[…]] as phonemes
        data = ctypes.create_string_buffer(text.encode())
        start = ctypes.addressof(data)
        place = ctypes.c_void_p(start)
        clauses: list[str] = []
        while place.value:
            clause = self._library.espeak_TextToPhonemes(ctypes.byref(place), _UTF8, _IPA)
            end = len(data) if place.value is None else place.value - start
            mark = data.raw[:end].rstrip(b"\0 \n")[-1:].decode("ascii", "ignore")
            words = _LANGUAGE.sub("", clause.decode()).strip()
            clauses.append(words + (mark if words and mark in _MARKS else ""))
        return " ".join(filter(None, clauses))

    def _collect(
        self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, events: object
    ) -> int:
        if samples and count:
            self._spoken.append(ctypes.string_at(samples, 2 * count))
        return 0


def accents_of(
    language: str, accents: tuple[tuple[str, str], ...], names: Mapping[str, str] | None = None
) -> tuple[tuple[str, str], ...]:
    """Return the accents of `language`: its code and those that start with it and a hyphen.

    Codes with a script (`en-shaw`, `fa-latn`) are for another alphabet and excluded unless given
    explicitly. `names` are those of `Espeak.names`, for the message.

    Raises:
        DataError: espeak-ng does not support `language`.
    """
    prefix = language.lower()
    exact = tuple((code, voice) for code, voice in accents if code.lower() == prefix)
    wider = tuple((code, voice) for code, voice in accents if code.startswith(f"{prefix}-"))
    plain = tuple(a for a in exact + wider if not any(len(p) == 4 for p in a[1].split("-")[1:]))
    if not exact + wider:
        known = names or {}
        matches = [name for name in known if prefix in name.split()]
        matches = matches or get_close_matches(prefix, known, n=1, cutoff=0.8)
        if matches:
            hint = ", ".join(f"{name.title()} is {known[name]}" for name in matches)
            raise DataError(f"espeak-ng does not speak language {language!r}; {hint}")
        codes = tuple(sorted({code for code, _ in accents} | {"en", "fr"}))
        raise DataError(f"espeak-ng does not speak language {language!r}{closest(prefix, codes)}")
    return plain or exact[:1]


def accent_of(name: str, accents: tuple[tuple[str, str], ...]) -> str:
    """Return the code of the accent that a voice of espeak-ng speaks, empty if there is none.

    >>> accents = (("de", "gmw/de"), ("en-us", "gmw/en-US"), ("fr-fr", "roa/fr"))
    >>> [accent_of(name, accents) for name in ("en-us", "fr", "gmw/de", "xx")]
    ['en-us', 'fr-fr', 'de', '']
    """
    code = name.lower()
    exact = [c for c, identifier in accents if code in (c.lower(), identifier.lower())]
    wider = [c for c, _ in accents if c.startswith(f"{code}-")]
    return (exact + wider + [""])[0]


def _loaded(library: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise MissingPartError(f"{library}: does not load: {error}; {INSTALL}") from error


def _loaded_copy(library: Path) -> ctypes.CDLL:
    with scratch_folder("espeak") as folder:
        return _loaded(Path(shutil.copy(library, folder)))


def _locate() -> tuple[Path, Path]:
    try:
        import espeakng_loader

        return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())
    except (ImportError, RuntimeError) as error:
        raise MissingPartError(f"espeak-ng is not installed: {error}; {INSTALL}") from error
