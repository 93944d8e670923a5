"""What every synthesizer keeps to; a new one is tested once it has sample fields here."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekws.core.corpus import SPLITS
from edgekws.core.family import kinds
from edgekws.core.permission import commands_allowed
from edgekws.core.protocols import SYNTHESIZER, Synthesizer
from edgekws.core.speech import Manner, Voice
from edgekws.errors import DataError, MissingPartError
from edgekws.synthesizers import festival
from tests.tiny_voices import write_kokoro, write_piper, write_program

KINDS = kinds("Synthesizer")
ENGLISH = (("en-gb", "gmw/en"), ("en-us", "gmw/en-US"))
TAMIL = (("ta", "dra/ta"),)
NOWHERE = "/nowhere"

Fields = Callable[[Path], dict[str, Any]]


def _piper(folder: Path) -> dict[str, Any]:
    write_piper(folder)
    write_piper(folder, "en_US-two", 2)
    return {"folder": folder}


def _kokoro(folder: Path) -> dict[str, Any]:
    return {"folder": write_kokoro(folder / "styles", ("af_a", "am_b", "bf_c", "jf_d"))}


SAMPLE_FIELDS: dict[str, Fields] = {
    "espeak": lambda folder: {},
    "flite": lambda folder: {},
    "festival": lambda folder: {},
    "piper": _piper,
    "kokoro": _kokoro,
    "command": lambda folder: {"command": write_program(folder), "language": "en-us"},
}
PROGRAMS = {"flite": "no flite voices", "festival": "no festival voices"}


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Synthesizer]:
    kind = request.param
    if kind in PROGRAMS and shutil.which(kind) is None:
        pytest.skip(f"{PROGRAMS[kind]} are installed")
    fields = SAMPLE_FIELDS[kind](tmp_path)
    with commands_allowed(True):
        yield SYNTHESIZER.validate_python({"kind": kind, **fields})


def speech(engine: Synthesizer, voice: Voice, text: str, manner: Manner) -> np.ndarray:
    with engine.speaker(voice) as speaker:
        assert 8_000 <= speaker.sample_rate <= 48_000
        return speaker.say(text, manner)


def test_every_member_has_sample_fields() -> None:
    assert SAMPLE_FIELDS.keys() == set(KINDS)


def test_an_engine_speaks_and_repeats_itself(engine: Synthesizer) -> None:
    assert engine.describe()
    assert len(engine.fingerprint()) == 64
    assert engine.fingerprint() == engine.fingerprint()
    cast = engine.cast(ENGLISH, "lights", 7)
    timbres = [name for family in cast.families for name in family]
    assert sorted(timbres) == sorted(cast.voices) == sorted(set(timbres))
    assert cast == engine.cast(ENGLISH, "lights", 7)
    assert cast.note
    voice = cast.voices[timbres[0]][0]
    assert (voice.code, voice.accent) in ENGLISH
    assert voice.name == f"{voice.code}+{timbres[0]}"
    manner = Manner(seed=(7, 1))
    first = speech(engine, voice, "lights", manner)
    assert first.dtype == np.float32
    assert first.ndim == 1
    assert np.isfinite(first).all()
    assert np.abs(first).max() > 0.01
    assert first.tobytes() == speech(engine, voice, "lights", manner).tobytes()
    fast = speech(engine, voice, "lights", manner._replace(rate_wpm=300))
    assert len(fast) < 0.9 * len(first)
    if voice.phonemes:
        assert len(speech(engine, voice, "[[m|'u:|z|I|k]]", manner)) > 0


def test_an_engine_follows_what_it_says(engine: Synthesizer) -> None:
    follows = engine.follows
    assert follows is None or set(follows) <= set(Manner._fields)
    assert engine.splits == SPLITS
    assert engine.share == 1


def test_a_language_without_a_voice_is_refused(engine: Synthesizer) -> None:
    if engine.kind != "espeak":
        with pytest.raises(DataError, match=r"\bta\b"):
            engine.cast(TAMIL, None, 7)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "espeak"])
def test_a_missing_engine_says_how_to_get_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields: dict[str, dict[str, Any]] = {
        "piper": {"folder": tmp_path},
        "kokoro": {"folder": tmp_path},
        "command": {"command": [NOWHERE, "{output}"], "language": "en"},
    }
    festival._voices.cache_clear()
    monkeypatch.setenv("PATH", NOWHERE)
    engine = SYNTHESIZER.validate_python({"kind": kind, **fields.get(kind, {})})
    for ask in (engine.describe, engine.fingerprint):
        with pytest.raises(MissingPartError, match=r"; .*(install|correct|npm pack)") as caught:
            ask()
        assert caught.value.exit_code == 6
