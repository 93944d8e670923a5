"""Kokoro's styles: their accents, blends that stay in a split, and files that are refused."""

from pathlib import Path

import numpy as np
import pytest

from edgekws.core.speech import Manner
from edgekws.datasets.synthesis.voices import voices_per_split
from edgekws.errors import DataError, MissingPartError
from edgekws.synthesizers import kokoro
from edgekws.synthesizers.kokoro import Synthesizer
from tests.tiny_voices import write_kokoro

ENGLISH = (("en-gb", "gmw/en"), ("en-us", "gmw/en-US"))
STYLES = (*(f"{letter}f_{name}" for letter in "ab" for name in "pqrstuvw"), "jf_x", "zm_y")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_kokoro(tmp_path / "styles", STYLES)


def test_a_style_speaks_its_accent_and_others_only_on_request(folder: Path) -> None:
    cast = Synthesizer(folder=folder).cast(ENGLISH, None, 1)
    codes = {name: voice.code for name, (voice,) in cast.voices.items()}
    assert codes == {f"kokoro-{s}": "en-us" if s[0] == "a" else "en-gb" for s in STYLES[:16]}
    more = Synthesizer(folder=folder, other_languages=True).cast(ENGLISH, None, 1)
    assert more.voices.keys() - cast.voices.keys() == {"kokoro-jf_x", "kokoro-zm_y"}
    assert {voice.code for (voice,) in more.voices.values()} == {"en-us", "en-gb"}


@pytest.mark.parametrize("seed", [0, 7])
def test_blends_are_of_styles_of_one_split(folder: Path, seed: int) -> None:
    cast = Synthesizer(folder=folder, blends=60).cast(ENGLISH, None, seed)
    split_of = {
        voice.variant.removeprefix("kokoro-"): split
        for split, voices in voices_per_split(cast, seed).items()
        for voice in voices
    }
    blends = [name for name in split_of if "-" in name]
    assert len(blends) == 60
    assert set(split_of.values()) == {"train", "dev", "test"}
    for name in blends:
        first, second, percent = name.split("-")
        assert split_of[name] == split_of[first] == split_of[second]
        assert 25 <= int(percent) < 75


def test_a_note_says_how_many_styles_blends_need(tmp_path: Path) -> None:
    folder = write_kokoro(tmp_path / "few", STYLES[:5])
    cast = Synthesizer(folder=folder, blends=60).cast(ENGLISH, None, 1)
    assert cast.note == (
        "kokoro: 5 styles and 0 blends of them; blends need 6 styles, two for each split"
    )


def test_a_blend_is_between_its_styles(folder: Path) -> None:
    engine = Synthesizer(folder=folder, blends=60)
    voices = engine.cast(ENGLISH, None, 1).voices
    name = next(name for name in voices if name.count("-") == 3)
    _, first, second, percent = name.split("-")
    levels = {}
    for part in (name, f"kokoro-{first}", f"kokoro-{second}"):
        with engine.speaker(voices[name][0]._replace(variant=part)) as speaker:
            levels[part] = np.abs(speaker.say("lights", Manner())).max()
    share = int(percent) / 100
    expected = (1 - share) * levels[f"kokoro-{first}"] + share * levels[f"kokoro-{second}"]
    assert levels[name] == pytest.approx(expected, rel=1e-5)


def test_phonemes_are_in_the_notation_of_the_model(folder: Path) -> None:
    engine = Synthesizer(folder=folder)
    voice = engine.cast(ENGLISH, None, 1).voices["kokoro-af_p"][0]
    with engine.speaker(voice) as speaker:
        assert len(speaker.say("lights", Manner())) == 400 * 7  # 0 l ˈ I t s 0
        assert len(speaker.say("...", Manner())) == 0


def test_files_that_are_no_styles_are_refused(folder: Path) -> None:
    engine = Synthesizer(folder=folder)
    voice = engine.cast(ENGLISH, None, 1).voices["kokoro-af_p"][0]
    (folder / "af_p.bin").write_bytes(b"abcd")
    with (
        pytest.raises(DataError, match=r"af_p\.bin: is not a style of Kokoro: expected 522240 b"),
        engine.speaker(voice),
    ):
        pass


def test_npm_packages_are_found_here_and_above(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "project" / "deeper"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setattr(kokoro, "_GLOBAL", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingPartError, match=r"npm pack kokoro-js@1\.2\.1 && tar"):
        Synthesizer()._styles()
    (tmp_path / "project" / "node_modules" / "kokoro-js").mkdir(parents=True)
    folder.rename(tmp_path / "project" / "node_modules" / "kokoro-js" / "voices")
    assert set(Synthesizer()._styles()) == set(STYLES)
