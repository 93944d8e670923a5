"""The sentence that a comparison ends in, and what data would show more."""

import re

import numpy as np
import pytest
from scipy import stats

from edgekws.core.corpus import Examples
from edgekws.evaluation.verdict import judge
from edgekws.metrics.differences import System, systems
from edgekws.metrics.paired import clips_needed

N = 400


def made(*shares: float | tuple[float, ...], speakers: int = 20) -> list[System]:
    """Systems that are right on a share of the clips, for each of their seeds, at random."""
    rng = np.random.default_rng(4)
    names = np.array([f"s{i % speakers}" for i in range(N)])
    clips = Examples(np.zeros((N, 1, 1), np.float32), np.zeros(N, int), names, ("",) * N)
    luck = rng.random(N)
    predicted = [
        [(np.clip(luck + 0.02 * rng.standard_normal(N), 0, 1) > share).astype(int) for share in one]
        for one in (each if isinstance(each, tuple) else (each,) for each in shares)
    ]
    return systems(predicted, clips, ("да", "нет"))


def test_better_and_worse_are_each_others_mirror() -> None:
    (pair,) = judge(["a", "b"], made(0.95, 0.7), 20, None)
    (turned,) = judge(["b", "a"], made(0.95, 0.7)[::-1], 20, None)
    assert pair.outcome == "better"
    figures = r"(\d+\.\d) points \[(\d+\.\d), (\d+\.\d)\]"
    assert re.fullmatch(f"a is better than b by {figures}", pair.sentence)
    assert turned.sentence == pair.sentence.replace("a is better than b", "b is worse than a")
    value, low, high = map(float, re.findall(r"\d+\.\d", pair.sentence))
    assert low < value < high
    assert value == pytest.approx(100 * pair.accuracy.value, abs=0.051)
    assert pair.needed is None
    assert pair.mcnemar is not None
    assert pair.p == max(pair.accuracy.p, pair.mcnemar.p) < 0.05


def test_not_told_apart_says_what_would_tell() -> None:
    (pair,) = judge(["a", "b"], made(0.9, 0.895), 20, 0.005)
    assert pair.outcome == "no measurable difference"
    assert pair.needed is not None
    assert pair.needed.clips is not None
    assert pair.needed.clips > N
    assert pair.needed.speakers == -(-pair.needed.clips * 20 // N)
    reported = (
        r"a and b show no measurable difference with this much data "
        r"\([+−]\d\.\d+ points \[−\d\.\d, \d\.\d\]\); "
        r"about [\d,]+ clips \([\d,]+ speakers\) would show a difference of 0\.5 points"
    )
    assert re.fullmatch(reported, pair.sentence), pair.sentence
    (single,) = judge(["a", "b"], made(0.9, 0.895), 0, 0.005)
    assert single.needed is not None
    assert single.needed.speakers is None
    assert "speakers" not in single.sentence


def test_the_clips_are_those_of_the_formula() -> None:
    a, b = made(0.9, 0.895)
    (pair,) = judge(["a", "b"], [a, b], 20, 0.02)
    discordance = float(np.mean(a.right[0] != b.right[0]))
    assert pair.needed is not None
    effect = max(1, pair.accuracy.speaker_variance / pair.accuracy.clip_variance)
    normal = clips_needed(0.02, discordance, design_effect=effect)
    assert pair.needed.clips is not None
    assert pair.needed.speakers is not None

    def enough(speakers: int) -> bool:
        """Student's test has a power of 0.8 (quantile 0.8416) with as many speakers."""
        factor = (stats.t.ppf(0.975, speakers - 1) + 0.8416) / (1.95996 + 0.8416)
        return bool(speakers >= normal / N * 20 * factor**2)

    assert enough(pair.needed.speakers)
    assert not enough(pair.needed.speakers - 1)
    assert pair.needed.clips == pytest.approx(max(normal, pair.needed.speakers * N / 20), abs=1)


def test_without_a_question_the_cost_is_of_what_was_observed() -> None:
    (pair,) = judge(["a", "b"], made(0.9, 0.895), 20, None)
    assert pair.needed is not None
    assert pair.needed.difference == pytest.approx(max(0.001, abs(pair.accuracy.value)))
    (level,) = judge(["a", "b"], made(0.9) * 2, 20, None)
    assert level.needed is not None
    assert level.needed.difference == 0.001
    assert level.accuracy.value == 0


def test_this_much_may_be_enough_for_a_larger_difference() -> None:
    (pair,) = judge(["a", "b"], made(0.9, 0.895), 20, 0.2)
    assert pair.sentence.endswith("; this much is enough to show a difference of 20.0 points")


def test_several_comparisons_are_corrected_for() -> None:
    alone = judge(["a", "b"], made(0.9, 0.87), 20, None)[0]
    assert alone.outcome == "better"
    level = made(0.9, 0.87, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9)
    pairs = judge(list("abcdefgh"), level, 20, None)
    assert len(pairs) == 28
    lost = [p for p in pairs if p.p < 0.05 <= p.p_corrected]
    assert lost
    assert all("points [" in p.sentence for p in lost)
    assert all(p.sentence.count(", corrected for 28 comparisons)") == 1 for p in lost)
    assert all(p.outcome == "no measurable difference" for p in lost)


def test_where_seeds_differ_more_than_systems_more_clips_do_not_help() -> None:
    (pair,) = judge(["a", "b"], made((0.95, 0.8), (0.94, 0.82)), 20, 0.01)
    assert pair.needed is not None
    assert pair.needed.clips is None
    assert pair.needed.seeds is not None
    reported = (
        rf"; no number of clips would show .* 1\.0 points, about {pair.needed.seeds} seeds of each"
    )
    assert re.search(reported, pair.sentence)
    assert pair.needed.seeds > 50


def test_a_little_spread_of_seeds_costs_more_clips() -> None:
    one = judge(["a", "b"], made(0.9, 0.895), 20, 0.05)[0].needed
    more = judge(["a", "b"], made((0.9, 0.91), (0.895, 0.9)), 20, 0.05)[0].needed
    assert one is not None
    assert more is not None
    assert more.seeds is None
    assert more.clips is not None


def test_one_speaker_allows_no_verdict() -> None:
    (pair,) = judge(["a", "b"], made(0.95, 0.7, speakers=1), 1, None)
    assert (pair.outcome, pair.needed) == ("no measurable difference", None)
    assert pair.sentence.endswith(" points, all of one speaker; that allows no verdict")
