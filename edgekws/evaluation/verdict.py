"""The verdict of a paired comparison in one sentence, and the data that a clear one would need."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import ceil
from statistics import NormalDist
from typing import Literal

from edgekws.metrics import differences, intervals, paired
from edgekws.metrics.differences import Difference, System
from edgekws.metrics.paired import McNemar

LEAST = 0.001
"""The smallest difference whose cost in clips is reported by default."""


@dataclass(frozen=True)
class Needed:
    """What would detect a `difference`: clips, and speakers with as many clips each as here.

    If the variance between seeds is too large for any number of clips, `clips` is `None` and
    `seeds` is the number of seeds needed for each system.
    """

    difference: float
    clips: int | None
    speakers: int | None
    seeds: int | None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """System a compared with system b; differences are a − b, as shares of one.

    `p` is the larger of the p-values of Student's test over speakers and, with one seed each, of
    McNemar's test; `p_corrected` is Holm's over all pairs. `outcome` says what a is.
    """

    a: str
    b: str
    accuracy: Difference
    macro_recall: Difference | None
    mcnemar: McNemar | None
    p: float
    p_corrected: float
    outcome: Literal["better", "worse", "no measurable difference"]
    needed: Needed | None
    sentence: str


@dataclass(frozen=True)
class Ground:
    """What all pairs share; the cost in clips of `target_difference` is reported, if given."""

    clips: int
    speakers: int
    comparisons: int
    target_difference: float | None


def judge(
    names: Sequence[str],
    systems: Sequence[System],
    n_speakers: int,
    target_difference: float | None,
) -> tuple[Pair, ...]:
    """Judge every pair of systems, corrected for the number of pairs.

    A system is better if the corrected p-value is below 0.05.
    """
    chosen = list(combinations(range(len(systems)), 2))
    pairs = [_tested((names[i], names[j]), systems[i], systems[j]) for i, j in chosen]
    ground = Ground(systems[0].right.shape[1], n_speakers, len(chosen), target_difference)
    corrected = paired.holm([pair.p for pair in pairs])
    return tuple(
        _judged(replace(pair, p_corrected=p), systems[i], systems[j], ground)
        for pair, p, (i, j) in zip(pairs, corrected, chosen, strict=True)
    )


def _tested(names: tuple[str, str], a: System, b: System) -> Pair:
    accuracy, macro, counted = differences.difference(a, b), None, None
    if "macro_recall" in a.shares:
        macro = differences.difference(a, b, metric="macro_recall")
    if len(a.right) == len(b.right) == 1:
        counted = paired.mcnemar(a.right[0], b.right[0])
    p = max(accuracy.p, counted.p) if counted else accuracy.p
    return Pair(
        a=names[0],
        b=names[1],
        accuracy=accuracy,
        macro_recall=macro,
        mcnemar=counted,
        p=p,
        p_corrected=p,
        outcome="no measurable difference",
        needed=None,
        sentence="",
    )


def _judged(pair: Pair, a: System, b: System, ground: Ground) -> Pair:
    difference = pair.accuracy
    if pair.p_corrected < paired.ALPHA:
        pair = replace(pair, outcome="better" if difference.value > 0 else "worse")
    elif difference.ci95:
        pair = replace(pair, needed=_needed(a, b, difference, ground))
    return replace(pair, sentence=_sentence(pair, ground))


def _needed(a: System, b: System, seen: Difference, ground: Ground) -> Needed:
    """Return what would detect a difference with a power of 0.8, all else being equal.

    The variance between seeds does not shrink with more clips; it is allowed for first.
    """
    target_difference = ground.target_difference or max(LEAST, abs(seen.value))
    doubt = (paired.critical(ground.comparisons) + NormalDist().inv_cdf(paired.POWER)) ** 2
    left = 1 - doubt * seen.seed_variance / target_difference**2
    if left <= 0:
        spread = sum(s.values("accuracy").var(ddof=1) for s in (a, b) if len(s.right) > 1)
        seeds = ceil(2 * doubt * spread / target_difference**2)
        return Needed(target_difference, None, None, seeds)
    alone = seen.clip_variance
    effect = max(1.0, seen.speaker_variance / alone) if alone else 1.0
    discordance = ground.clips * alone  # McNemar's variance is the discordance over the clips
    clips = paired.clips_needed(target_difference, discordance, ground.comparisons, effect) / left
    if not ground.speakers:
        return Needed(target_difference, ceil(clips), None, None)
    speakers = _by_student(clips / ground.clips * ground.speakers, ground.comparisons)
    clips = max(clips, speakers * ground.clips / ground.speakers)
    return Needed(target_difference, ceil(clips), speakers, None)


def _by_student(speakers: float, comparisons: int) -> int:
    """Return how many speakers Student's test needs if a normal test would need `speakers`."""
    power = NormalDist().inv_cdf(paired.POWER)
    normal = paired.critical(comparisons) + power
    needed = max(2, ceil(speakers))
    while needed < speakers * ((intervals.quantile(needed - 1, comparisons) + power) / normal) ** 2:
        needed += 1
    return needed


def _sentence(pair: Pair, ground: Ground) -> str:
    if pair.accuracy.ci95 is None:
        by = points(pair.accuracy.value, "+")
        return f"{pair.a} and {pair.b}: {by} points, all of one speaker; that allows no verdict"
    low, high = pair.accuracy.ci95
    if pair.outcome == "better":
        by = f"{points(pair.accuracy.value)} points [{points(low)}, {points(high)}]"
        return f"{pair.a} is better than {pair.b} by {by}"
    if pair.outcome == "worse":
        by = f"{points(-pair.accuracy.value)} points [{points(-high)}, {points(-low)}]"
        return f"{pair.a} is worse than {pair.b} by {by}"
    seen = f"{points(pair.accuracy.value, '+')} points [{points(low)}, {points(high)}]"
    if pair.p < paired.ALPHA <= pair.p_corrected:
        seen += f", corrected for {ground.comparisons} comparisons"
    text = f"{pair.a} and {pair.b} show no measurable difference with this much data ({seen})"
    return f"{text}; {_cost(pair.needed, ground)}" if pair.needed else text


def _cost(needed: Needed, ground: Ground) -> str:
    what = f"a difference of {points(needed.difference)} points"
    if needed.clips is None:
        return f"no number of clips would show {what}, about {needed.seeds} seeds of each would"
    if needed.clips <= ground.clips:
        return f"this much is enough to show {what}"
    speakers = f" ({_rough(needed.speakers)} speakers)" if needed.speakers else ""
    return f"about {_rough(needed.clips)} clips{speakers} would show {what}"


def points(share: float, sign: str = "-") -> str:
    """Format a share in percentage points, with two digits if one would be too few.

    >>> points(0.0123), points(-0.0004), points(0.0123, "+"), points(0)
    ('1.2', '−0.04', '+1.2', '0.0')
    """
    digits = 2 if 0 < abs(share) < 0.001 else 1
    return f"{100 * share:{sign}.{digits}f}".replace("-", "−")


def _rough(number: int) -> str:
    """Format an integer, rounded to two significant digits.

    >>> _rough(5234), _rough(7)
    ('5,200', '7')
    """
    unit = 10 ** max(0, len(str(number)) - 2)
    return f"{round(number / unit) * unit:,}"
