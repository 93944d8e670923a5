"""What can be profiled: an ONNX file, a bundle, or every step of a run."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from edgekws.bundle.untrusted_models import try_model_file
from edgekws.errors import DataError, UsageError
from edgekws.evaluation.models import model_file, read_model, run_folder, step_models, verified

BASELINE = "baseline"
"""Name of a run's plain FP32 export."""


@dataclass(frozen=True)
class Subject:
    """One model: its network, and in a bundle the graph of its front end."""

    name: str
    model: Path
    front_end: Path | None = None


def subjects(paths: Sequence[Path], stack: ExitStack) -> tuple[Subject, ...]:
    """Return the models at the paths; the others are compared with the first.

    A bundle is verified; its zip is unpacked for as long as `stack` is open. A path given twice is
    listed twice, the second time as `NAME (2)`.

    Raises:
        UsageError: a run, which has several models, together with other paths.
        DataError: there is no model, or it cannot be read.
    """
    if runs := [steps for path in paths if (steps := _steps(path))]:
        if len(paths) > 1:
            raise UsageError("a run is profiled alone; name the model.onnx of a step to compare it")
        return runs[0]
    listed: list[Subject] = []
    for path in paths:
        subject = _subject(path, stack)
        n = sum(other.name.partition(" (")[0] == subject.name for other in listed)
        listed.append(replace(subject, name=f"{subject.name} ({n + 1})") if n else subject)
    return tuple(listed)


def _subject(path: Path, stack: ExitStack) -> Subject:
    folder = stack.enter_context(verified(path))
    model, front_end = model_file(folder), folder / "frontend.onnx"
    if model.suffix.lower() != ".ort":  # onnxruntime's own format
        read_model(model)
    if folder == model:
        try_model_file(model)
    return Subject(str(path), model, front_end if front_end.is_file() else None)


def _steps(path: Path) -> tuple[Subject, ...]:
    """Return the baseline and the steps of a run, empty if the path is not a run."""
    run = run_folder(path)
    if run is None:
        return ()
    steps = [Subject(file.parent.name, file) for file in step_models(run)]
    baseline = run / "baseline" / "naive_fp32.onnx"
    if not steps or not baseline.is_file():
        raise DataError(
            f"{run}: no model of a step, or no baseline, which exists once the recipe's last "
            "training is done; run compress again"
        )
    return (Subject(BASELINE, baseline), *steps)
