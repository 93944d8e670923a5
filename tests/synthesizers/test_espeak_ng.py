"""Copies of espeak-ng that are loaded at the same time share no state."""

from pathlib import Path

import numpy as np
import pytest

from edgekws.errors import MissingPartError
from edgekws.synthesizers.speaking import espeak_ng
from edgekws.synthesizers.speaking.espeak_ng import Espeak

WORDS = ("lights", "music", "stop")


def spoken(voice: str) -> list[np.ndarray]:
    with Espeak() as espeak:
        espeak.use(voice)
        return [espeak.say(word) for word in WORDS]


def test_nested_copies_speak_as_if_alone() -> None:
    english, german = spoken("gmw/en-US+f1"), spoken("gmw/de+croak")
    with Espeak() as outer:
        outer.use("gmw/en-US+f1")
        said = [outer.say(WORDS[0])]
        with Espeak() as inner:
            inner.use("gmw/de+croak")
            for word, expected in zip(WORDS, german, strict=True):
                np.testing.assert_array_equal(inner.say(word), expected)
            said.append(outer.say(WORDS[1]))
        said.append(outer.say(WORDS[2]))
    for wave, expected in zip(said, english, strict=True):
        assert len(expected)
        np.testing.assert_array_equal(wave, expected)


def test_copies_may_be_closed_in_any_order_and_twice() -> None:
    expected = spoken("gmw/en-US")[0]
    first, second = Espeak(), Espeak()
    first.close()
    third = Espeak()
    for copy in (second, third):
        copy.use("gmw/en-US")
        np.testing.assert_array_equal(copy.say(WORDS[0]), expected)
        copy.close()
        copy.close()


def test_a_copy_that_fails_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library, _ = espeak_ng._locate()
    monkeypatch.setattr(espeak_ng, "_locate", lambda: (library, tmp_path))
    with pytest.raises(MissingPartError, match="cannot read its voices"):
        Espeak()
    monkeypatch.undo()
    assert not espeak_ng._first.locked()
    with Espeak() as espeak:
        assert espeak_ng._first.locked()
        espeak.use("gmw/en-US")
        assert len(espeak.say(WORDS[0]))
