"""Warnings on teachers that are no better than their student."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekws.core.canonical import sha256_of
from edgekws.core.protocols import Step
from edgekws.core.source_code import closure
from edgekws.core.store import build_folder
from edgekws.engine.chain import RunContext
from edgekws.engine.measure import Measured


def no_better(step: Step, measured: Mapping[str, Measured], context: RunContext) -> list[str]:
    """Return a line for each teacher that does not beat its new student on dev.

    `measured` holds the measured steps by name. Cached, so that the clips need not be read.
    """
    loss = getattr(step, "loss", None)
    teachers: tuple[str, ...] = getattr(step, "teachers", ())
    if step.takes is not None or loss is None or not teachers:
        return []
    if loss.kl_weight == loss.feature_weight == 0:
        return []  # the student does not learn from them
    key = {
        "student": measured[step.name].sha256,
        "teachers": {name: measured[name].sha256 for name in teachers},
        "data": context.source.key,
        "source": closure(["edgekws.engine.teachers"]),
    }

    def build(folder: Path) -> None:
        targets = context.source.features.examples("dev").targets
        right = {
            name: np.load(measured[name].dev_logits).argmax(axis=1) == targets
            for name in (step.name, *teachers)
        }
        lines = list(teacher_warnings(right, step.name))
        (folder / "lines.json").write_text(json.dumps(lines), encoding="utf-8")

    folder = build_folder(context.cache / "teachers" / sha256_of(key), build, context.emit)
    lines: list[str] = json.loads((folder / "lines.json").read_text("utf-8"))
    return lines


def teacher_warnings(right: Mapping[str, NDArray[np.bool_]], student: str) -> Iterator[str]:
    """Yield a line for each network that beats `student` on no more clips than it loses.

    `right` holds by name which of the same clips `(N,)` a network gets right.
    """
    for name, teacher in right.items():
        ahead = int(np.sum(teacher & ~right[student]))
        behind = int(np.sum(right[student] & ~teacher))
        if name != student and ahead <= behind:
            yield (
                f'its teacher "{name}" is no better: of the clips of dev, {ahead} are right by the '
                f"teacher alone, {behind} by the student alone; train the teacher for longer, "
                "choose a larger one, or do without"
            )
