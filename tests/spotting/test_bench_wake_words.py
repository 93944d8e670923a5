"""What the comparison of wake-word models counts as found, missed and a false alarm."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tools.bench_wake_words import RATE, Model, Span, Stream, run

CLIPS = Stream(
    np.zeros(20 * RATE, np.int16),
    (Span("a", "flite", "silence", 4.0, 4.5), Span("b", "flite", "noise", 10.0, 10.5)),
)
SPEECH = Stream(
    np.ones(30 * RATE, np.int16),
    (Span("ann", "1.wav", "", 2.0, 12.0), Span("bob", "2.wav", "", 12.0, 30.0)),
)


def model(clip_scores: dict[float, float], speech_scores: dict[float, float]) -> Model:
    """Return a model with given scores at given times, in seconds."""

    def listen(audio: bytes) -> Iterator[tuple[float, float]]:
        yield 0.0, 0.0
        yield from (speech_scores if audio[0] else clip_scores).items()

    return Model("x", "numpy", str((clip_scores, speech_scores)), 0.5, 1, 0, listen)


def test_a_clip_is_found_from_its_start_to_a_second_after_its_end(tmp_path: Path) -> None:
    found = {4.0: 0.6, 10.5 + 1.0: 0.6}
    assert run(model(found, {}), [CLIPS], [SPEECH], tmp_path).record()["misses"]["misses"] == 0
    beside = {3.9: 0.9, 5.6: 0.9, 10.0: 0.5}
    record = run(model(beside, {}), [CLIPS], [SPEECH], tmp_path).record()
    assert (record["misses"]["misses"], record["misses"]["clips"]) == (2, 2)
    assert record["amid"]["noise"]["value"] == 1.0


def test_a_false_alarm_counts_once_in_two_seconds_and_not_in_the_lead(tmp_path: Path) -> None:
    scores = {1.5: 0.9, 3.0: 0.9, 4.9: 0.9, 5.0: 0.7, 20.0: 0.7, 25.0: 0.4}
    record = run(model({4.2: 0.8, 10.2: 0.3}, scores), [CLIPS], [SPEECH], tmp_path).record()
    assert record["false_alarms"]["alarms"] == 3
    assert record["false_alarms"]["value"] == round(3 * 3600 / 28, 4)
    results = run(model({4.2: 0.8, 10.2: 0.3}, scores), [CLIPS], [SPEECH], tmp_path)
    assert [results.false_alarms(cutoff)["alarms"] for cutoff in (0.3, 0.7, 0.9)] == [4, 1, 0]
    assert results.at_rate(200)["cutoff"] == 0.8
    assert (results.at_rate(1000)["cutoff"], results.at_rate(1000)["misses"]) == (0.0, 0)
