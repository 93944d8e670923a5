"""Which steps of a recipe a sweep runs, and which of them train."""

from collections.abc import Sequence
from typing import Any


def needed(steps: Sequence[Any], until: str) -> list[Any]:
    """Return the steps that `until` needs, itself last."""
    chosen: set[str] = set()
    todo = [until]
    names = [step.name for step in steps]
    while todo:
        name = todo.pop()
        if name not in chosen:
            chosen.add(name)
            step = steps[names.index(name)]
            todo += step.named_inputs
            todo += [names[names.index(name) - 1]] if step.takes is not None else []
    return [step for step in steps if step.name in chosen]


def trained(steps: Sequence[Any]) -> list[Any]:
    """Return the steps that train; `to2d` without a backbone does not."""
    return [
        step
        for step in steps
        if hasattr(step, "training") and getattr(step, "backbone", True) is not None
    ]
