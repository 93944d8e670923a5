"""Effects of the factors of an ablation: main effects, interactions, and verdicts."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from edgekws.core import figures
from edgekws.metrics import paired
from edgekws.search.space import Axis, Params
from edgekws.search.statistics import Estimate, PairedScores, Scored, average, difference

_WORDS = {1: "helps", -1: "hurts", 0: "no measurable effect"}


@dataclass(frozen=True)
class Effect:
    """A difference of the objective, paired on clips, speakers and seeds.

    `of` are factor and level, two pairs for an interaction; `against` is the first level of each.
    `p_corrected` is Holm's over all effects of the sweep, `None` without an interval.
    """

    of: tuple[tuple[str, str], ...]
    against: tuple[str, ...]
    estimate: Estimate
    p_corrected: float | None = None

    @property
    def sign(self) -> int:
        """1 or -1 if the effect is measurable after correction, else 0."""
        if self.p_corrected is None or self.p_corrected >= paired.ALPHA:
            return 0
        return 1 if self.estimate.value > 0 else -1

    @property
    def verdict(self) -> str:
        """`helps`, `hurts` or `no measurable effect`."""
        return _WORDS[self.sign]

    def sentence(self) -> str:
        """Return the verdict with its figures, in percentage points."""
        shown = f"{figures.points(self.estimate.value, 2)} points"
        if self.estimate.ci95:
            low, high = (figures.points(bound, 2) for bound in self.estimate.ci95)
            shown += f" [{low}, {high}]"
        if len(self.of) == 1:
            ((factor, level),) = self.of
            verdict = self.verdict if self.sign else f"has {self.verdict}"
            return f"{factor}: {level} {verdict} against {self.against[0]}: {shown}"
        names = " and ".join(level for _, level in self.of)
        more = {1: "more than the sum of both", -1: "less than the sum of both"}
        word = more.get(self.sign, "no measurable difference from the sum of both")
        return f"{names} together: {word}: {shown}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as data."""
        return {
            "of": [list(pair) for pair in self.of],
            "against": list(self.against),
            **asdict(self.estimate),
            "p_corrected": self.p_corrected,
            "verdict": self.verdict,
            "sentence": self.sentence(),
        }


@dataclass(frozen=True)
class Cell:
    """One completed combination of levels: its values, and its trials by seed."""

    params: Params
    keys: tuple[str, ...]


def effects(
    axes: Sequence[Axis], cells: Sequence[Cell], paired_scores: PairedScores
) -> list[Effect]:
    """Return the main effect of every level, and the interaction of every two factors.

    Effects are means over all other factors. If a combination is missing, its counterpart is left
    out too, so that the comparison stays paired.
    """
    means = {_at(cell.params): paired_scores.mean(cell.keys) for cell in cells}
    factors = [axis for axis in axes if axis.levels]
    results = [
        effect
        for factor in factors
        for effect in _main_effects(factor, cells, means, paired_scores)
    ]
    for a, b in itertools.combinations(factors, 2):
        results += _interactions(a, b, cells, means, paired_scores)
    return _corrected(results)


def _corrected(uncorrected: Sequence[Effect]) -> list[Effect]:
    """Correct the p-values for multiple tests; effects without an interval are not tested."""
    tested = [effect for effect in uncorrected if effect.estimate.ci95]
    p_values = iter(paired.holm([effect.estimate.p for effect in tested]))
    return [
        replace(effect, p_corrected=next(p_values)) if effect.estimate.ci95 else effect
        for effect in uncorrected
    ]


def _at(params: Params, **changed: Any) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, repr(value)) for name, value in {**params, **changed}.items()))


def _moved(params: Params, changes: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return _at({**params, **changes})


def _main_effects(
    factor: Axis, cells: Sequence[Cell], means: Mapping[Any, Scored], paired_scores: PairedScores
) -> list[Effect]:
    first, *others = factor.values
    main = []
    for level in others:
        parts = [
            difference(means[_at(cell.params)], means[other])
            for cell in cells
            if cell.params[factor.name] == level
            and (other := _moved(cell.params, {factor.name: first})) in means
        ]
        if parts:
            estimate = paired_scores.estimate(average(parts))
            main.append(Effect(((factor.name, level),), (first,), estimate))
    return main


def _interactions(
    a: Axis,
    b: Axis,
    cells: Sequence[Cell],
    means: Mapping[Any, Scored],
    paired_scores: PairedScores,
) -> list[Effect]:
    """Return `(a and b) - (a alone) - (b alone) + (neither)` for every two levels."""
    interactions = []
    for level_a, level_b in itertools.product(a.values[1:], b.values[1:]):
        parts = []
        for cell in cells:
            if (cell.params[a.name], cell.params[b.name]) != (level_a, level_b):
                continue
            corners = [
                _moved(cell.params, {a.name: x, b.name: y})
                for x in (level_a, a.values[0])
                for y in (level_b, b.values[0])
            ]
            if all(corner in means for corner in corners):
                both, only_a, only_b, none = (means[corner] for corner in corners)
                parts.append(difference(difference(both, only_a), difference(only_b, none)))
        if parts:
            of = ((a.name, level_a), (b.name, level_b))
            estimate = paired_scores.estimate(average(parts))
            interactions.append(Effect(of, (a.values[0], b.values[0]), estimate))
    return interactions
