"""What can be profiled: an ONNX file, a bundle, or every step of a run."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from edgekws.bundle.untrusted_models import try_model_file
from edgekws.errors import DataError, UsageError
from edgekws.evaluation.models import model_file, read_model, run_folder, step_models, verified

BASELINE = "baseline"
"""What the plain FP32 export of a run is called."""


@dataclass(frozen=True)
class Subject:
    """One model: its network, and in a bundle the graph of its front end."""

    name: str
    model: Path
    front_end: Path | None = None


def subjects(paths: Sequence[Path], stack: ExitStack) -> tuple[Subject, ...]:
    """Return what the paths name; the first is what the others are compared with.

    A bundle is verified; its zip is unpacked for as long as `stack` is open. A path that is given
    twice is there twice, the second as `NAME (2)`.

    Raises:
        UsageError: a run, which is many models, beside anything else.
        DataError: no model there, or it cannot be read.
    """
    if steps := [made for path in paths if (made := _steps(path))]:
        if len(paths) > 1:
            raise UsageError("a run is profiled alone; name the model.onnx of a step to compare it")
        return steps[0]
    found: list[Subject] = []
    for path in paths:
        one = _subject(path, stack)
        again = sum(other.name.partition(" (")[0] == one.name for other in found)
        found.append(replace(one, name=f"{one.name} ({again + 1})") if again else one)
    return tuple(found)


def _subject(path: Path, stack: ExitStack) -> Subject:
    folder = stack.enter_context(verified(path))
    model, front_end = model_file(folder), folder / "frontend.onnx"
    if model.suffix.lower() != ".ort":  # onnxruntime's own form
        read_model(model)
    if folder == model:
        try_model_file(model)
    return Subject(str(path), model, front_end if front_end.is_file() else None)


def _steps(path: Path) -> tuple[Subject, ...]:
    """Return the baseline and the steps of a run, nothing where the path is not that of one."""
    run = run_folder(path)
    if run is None:
        return ()
    steps = [Subject(file.parent.name, file) for file in step_models(run)]
    baseline = run / "baseline" / "naive_fp32.onnx"
    if not steps or not baseline.is_file():
        raise DataError(
            f"{run}: no model of a step, or no baseline, which is there once the last training of "
            "the recipe is done; run compress again"
        )
    return (Subject(BASELINE, baseline), *steps)
