"""Programs that speak: run only if allowed, without a shell, and stopped in time."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekws.core.permission import commands_allowed
from edgekws.core.speech import Manner, Voice
from edgekws.errors import DataError, UsageError
from edgekws.synthesizers.command import Synthesizer
from tests.tiny_voices import said, write_program

US = (("en-us", "gmw/en-US"),)


def program(lines: str, *arguments: str, **fields: Any) -> Synthesizer:
    command = (sys.executable, "-c", f"import sys\n{lines}", *arguments, "{output}")
    return Synthesizer(command=command, language="en-us", **fields)


def say(engine: Synthesizer, text: str = "lights", name: str = "voice") -> np.ndarray:
    stem = Path(engine.command[0]).stem
    with engine.speaker(Voice("en-us", "gmw/en-US", f"{stem}-{name}")) as speaker:
        return speaker.say(text, Manner(seed=(1, 2)))


def test_a_program_is_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    engine = Synthesizer(command=tuple(write_program(tmp_path)), language="en-us")
    with pytest.raises(UsageError, match=r"runs .* to speak; .* allow it with --allow-commands"):
        engine.cast(US, "lights", 1)
    with commands_allowed(True):
        cast = engine.cast(US, "lights", 1)
    assert [voice.phonemes for of in cast.voices.values() for voice in of] == [False]
    assert said(tmp_path) == []
    with pytest.raises(UsageError):
        engine.cast(US, "lights", 1)


@pytest.mark.parametrize(
    ("placeholders", "phonemes"),
    [(("{ipa}",), True), (("{text}",), False), (("{text}", "{ipa}"), False), ((), False)],
)
def test_invented_words_are_for_programs_that_need_no_spelling(
    placeholders: tuple[str, ...], phonemes: bool
) -> None:
    with commands_allowed(True):
        cast = program("", *placeholders).cast(US, None, 1)
    assert [voice.phonemes for of in cast.voices.values() for voice in of] == [phonemes]


def test_names_and_text_reach_the_program_as_they_are(tmp_path: Path) -> None:
    command = tuple(write_program(tmp_path))
    engine = Synthesizer(command=command, language="en-us", names=("a b", "c"))
    assert engine.follows == ("rate_wpm",)
    say(engine, "lights; touch $(hostname) `ls` {output} %s", "a b")
    assert said(tmp_path) == ["a b: lights; touch $(hostname) `ls` {output} %s"]


def test_a_program_may_be_named_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, *arguments = write_program(tmp_path)
    (tmp_path / "say").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    say(Synthesizer(command=("./say", *arguments), language="en-us"))
    assert said(tmp_path) == ["voice: lights"]


def test_the_fingerprint_follows_program_fields_and_files(tmp_path: Path) -> None:
    command = tuple(write_program(tmp_path))
    model = tmp_path / "model"
    model.write_text("1")
    engine = Synthesizer(command=command, language="en-us", files=(model,))
    first = engine.fingerprint()
    model.write_text("2")
    assert engine.fingerprint() != first
    assert engine.model_copy(update={"share": 2.0}).fingerprint() == engine.fingerprint()
    assert engine.model_copy(update={"names": ("x",)}).fingerprint() != engine.fingerprint()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("sys.exit('no voice')", "failed with exit code 1: no voice"),
        ("pass", "wrote no file speech.wav"),
        (
            "open(sys.argv[1], 'w').write('x' * 99)",
            r"^\S*python\S*: wrote speech\.wav wrongly: cannot be read as audio \(.*\)$",
        ),
        ("import time; time.sleep(60)", r"not finished after 0\.5 s, and killed"),
    ],
)
def test_a_program_that_does_not_speak_is_reported(lines: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        say(program(lines, limit_s=0.5 if "sleep" in lines else 30))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"command": ["say", "{txt}", "{output}"]}, r"\{txt\} is no placeholder; known: \{ipa\}"),
        ({"command": ["say", "{text}"]}, r"has no \{output\}, the WAV file"),
        ({"command": ["{voice}", "{output}"]}, "the program itself cannot be a placeholder"),
        ({"command": ["say", "{output}"], "names": ["../x"]}, "a voice has a name of its own"),
        ({"command": ["say", "{output}"], "names": ["a", "a"]}, "a voice has a name of its own"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Synthesizer.model_validate({"language": "en-us", **fields})
