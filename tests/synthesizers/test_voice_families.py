"""The same voice under several names is one family."""

from pathlib import Path

import espeakng_loader
import pytest

from edgekws.synthesizers.speaking.voice_families import families, timbre

DATA = Path(espeakng_loader.get_data_path())
EVERY = sorted(path.name for path in (DATA / "voices" / "!v").iterdir())
FAMILIES = families(DATA, EVERY)


def family_of(variant: str) -> tuple[str, ...]:
    return next(family for family in FAMILIES if variant in family)


@pytest.mark.parametrize(
    "alike",
    [
        ("Gene", "Gene2"),  # another pitch
        ("anika", "anikaRobot"),  # an echo
        ("robosoft3", "robosoft4"),  # another source
        ("klatt", "klatt2", "klatt3", "klatt4", "klatt5", "klatt6"),
        ("adam", "edward2", "Reed", "mike2"),  # Klatt's synthesizer, other formants
        ("f2", "f5", "whisperf"),
        ("m1", "m3", "fast"),  # formants of 96 to 100 %
        ("steph", "steph2", "steph3", "f1"),
        ("iven", "iven2", "iven3", "iven4"),
    ],
)
def test_voices_that_are_one_are_a_family(alike: tuple[str, ...]) -> None:
    assert set(alike) <= set(family_of(alike[0]))


def test_other_voices_are_not() -> None:
    apart = ("Gene", "f1", "f2", "m2", "klatt", "Andy", "grandma", "Demonic")
    assert len({family_of(variant) for variant in apart}) == len(apart)


def test_every_variant_is_in_one_family() -> None:
    assert sorted(variant for family in FAMILIES for variant in family) == EVERY
    assert list(FAMILIES) == sorted(FAMILIES)
    assert len(FAMILIES) > 25


def test_only_the_asked_for_variants_are_grouped() -> None:
    assert families(DATA, ["f2", "Gene2", "f5"]) == (("Gene2",), ("f2", "f5"))


def test_the_file_of_a_variant_gives_its_timbre() -> None:
    text = """##formant 1 1 1 1
formant 1  92 100 100
formant 2 110\t70 150 -150
formant 3 105 // what follows is not read
formant 5 50 100 100
pitch 100 130
"""
    assert timbre(text) == ((460.0, 1500.0, 2625.0), False)
    assert timbre("#klatt 4\n") == timbre("") == ((500.0, 1500.0, 2500.0), False)
    assert timbre("name x\nklatt 6").klatt
