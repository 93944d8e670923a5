"""Systems held against each other: how they are named, what comes out, and the notes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekws.core.events import Event, quiet
from edgekws.errors import UsageError
from edgekws.evaluation.compare import compare, read_entrants
from edgekws.evaluation.evaluation_set import EvaluationSet
from edgekws.metrics.tallies import Groups
from edgekws.recipe.load import Loaded


def test_arguments_name_systems_and_their_seeds(tmp_path: Path) -> None:
    odd = tmp_path / "a=b,c.onnx"
    odd.touch()
    result = read_entrants([str(odd), "x,y", "kd=k1,k2", "z"])
    assert [(one.name, one.paths) for one in result] == [
        (str(odd), (odd,)),
        ("x,y", (Path("x"), Path("y"))),
        ("kd", (Path("k1"), Path("k2"))),
        ("z", (Path("z"),)),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a"], "compare needs two systems or more: A B, or A1,A2 B1,B2 over seeds"),
        (["a", "a"], "a is named twice; give each system once, under its own name"),
        (["kd=a", "kd=b"], "kd is named twice"),
        (["a", "b,b"], "b,b: a path is given twice; name a different model for each seed"),
        (["a", "kd="], "'kd=' names no model; give PATH, PATH,PATH or NAME=PATH,PATH"),
        (["a", "=b"], "'=b' names no model"),
        (["a", ""], "'' names no model"),
        (["a", ","], "',' names no model"),
    ],
)
def test_arguments_that_make_no_sense_are_told(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        read_entrants(arguments)


@pytest.fixture
def models(loaded: Loaded, linear: Any) -> list[str]:
    clips = EvaluationSet(loaded, "test", quiet)
    front_end, normalization = clips._data.front_end, clips._data.normalization
    built = [linear(f"{i}.onnx", front_end, normalization, seed=i) for i in range(4)]
    return [str(model.path) for model in built]


def test_every_pair_is_judged_on_the_same_clips(loaded: Loaded, models: list[str]) -> None:
    events: list[Event] = []
    a, b, c, d = models
    built = compare([f"two={a},{b}", c, d], loaded, "test", events.append, 0.2)
    assert [(pair.a, pair.b) for pair in built.pairs] == [("two", c), ("two", d), (c, d)]
    assert (built.clips, built.speakers, built.split) == (12, 3, "test")
    assert [len(one.measurements) for one in built.entrants] == [2, 1, 1]
    means = [
        sum(m.value for one in entrant.measurements for m in one if m.metric == "accuracy")
        / len(entrant.paths)
        for entrant in built.entrants
    ]
    assert built.pairs[0].accuracy.value == pytest.approx(means[0] - means[1])
    assert built.pairs[2].mcnemar is not None
    assert built.pairs[0].mcnemar is None  # not defined over seeds
    notes = [event.text for event in events if event.kind == "note"]
    assert notes == list(built.notes)
    assert notes[0] == "3 speakers: read it with care"
    assert notes[1].startswith(f"one model each of {c}, {d}: what another seed would change")
    for pair in built.pairs:
        assert pair.p_corrected >= pair.p
        if pair.needed:
            assert pair.needed.difference == 0.2


def test_without_speakers_clips_are_taken_to_be_independent(
    loaded: Loaded, models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = Groups(np.arange(12), 0)
    monkeypatch.setattr("edgekws.metrics.tallies.grouped", lambda speakers: alone)
    built = compare(models[:2], loaded, "test", quiet)
    assert built.speakers == 0
    assert built.notes[0] == "no speakers are known: the intervals take clips to be independent"


def test_one_speaker_has_no_verdict(
    loaded: Loaded, models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = Groups(np.zeros(12, np.int64), 1)
    monkeypatch.setattr("edgekws.metrics.tallies.grouped", lambda speakers: alone)
    built = compare(models[:2], loaded, "test", quiet)
    assert built.notes[0] == "all clips are of one speaker: there are no intervals and no verdict"
    assert built.pairs[0].accuracy.ci95 is None
