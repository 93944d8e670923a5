"""Errors in the chain of steps that can be detected before anything runs."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from edgekws.core.contract import BESIDE, Format
from edgekws.core.kinds import closest
from edgekws.core.measurement import BUNDLE_METRICS, CONTINUOUS, FOOTPRINT_METRICS
from edgekws.core.protocols import Step
from edgekws.recipe.model import Recipe, budget_problems, slug_problem
from edgekws.recipe.toml_lines import KeyPath

Note = tuple[KeyPath, str]
"""A key path and a message about its value."""

Earlier = Sequence[Step | None]
"""The steps before a step; `None` is one that could not be read."""


def problems(steps: Sequence[Step | None]) -> list[Note]:
    """Return all errors in the chain; `None` is a step that could not be read."""
    noted: list[Note] = []
    for n, step in enumerate(steps):
        if step is not None:
            noted += _name(step, steps[:n])
            noted += _link(step, steps[:n])
            noted += _named_inputs(step, steps[:n], steps[n:])
            noted += _representation(step, steps[:n])
            noted += [(("steps", n, "budget", k), m) for k, m in budget_problems(step.budget)]
            noted += _bundle_limits(step, n)
            noted += _early_ratio(step, n, steps[n + 1 :])
    return noted + list(_no_model(steps))


def _no_model(steps: Sequence[Step | None]) -> Iterator[Note]:
    """Reject a chain that ends in a teacher that takes audio, which no bundle can hold."""
    models = [(n, step) for n, step in enumerate(steps) if step is None or step.gives not in BESIDE]
    n, last = models[-1] if models else (0, None)
    if last is not None and last.gives == "audio_teacher":
        yield (
            ("steps", n),
            f'"{last.name}" gives {_WHAT[last.gives]}; add a step {{ kind = "distill", teachers = '
            f'["{last.name}"], … }} after it',
        )


def uncounted_limits(recipe: Recipe) -> list[Note]:
    """Return the limits of a budget that the target of the recipe does not count."""
    if recipe.target.has_footprint:
        return []
    message = 'a host has no such limit; set target = { kind = "cortex_m" } or leave it out'
    metrics = {key: key.partition("_")[2] for key in recipe.budget}
    return [(("budget", k), message) for k, m in metrics.items() if m in FOOTPRINT_METRICS]


def last_training(steps: Sequence[Step]) -> str:
    """Return the name of the last step that trains a network.

    A `to2d` that turns out to be exact when it runs counts here, as this is not known before.
    """
    return next((step.name for step in reversed(steps) if _trains(step)), "")


def _trains(step: Step) -> bool:
    return bool(step.gives == "checkpoint" and step.keeps == "retrained")


def _bundle_limits(step: Step, n: int) -> Iterator[Note]:
    """Yield limits that do not apply to a step, as their metric is measured on the bundle."""
    for key in step.budget:
        metric = key.partition("_")[2]
        if metric in BUNDLE_METRICS:
            message = "measured on the bundle only; move this limit into the recipe's [budget]"
            yield ("steps", n, "budget", key), message
        elif metric in CONTINUOUS and step.keeps != "quantized" and step.gives != "detection":
            message = (
                "measured after quantize and calibrate, and on the bundle; move this limit there, "
                "or into the recipe's [budget]"
            )
            yield ("steps", n, "budget", key), message


def too_short(steps: Sequence[Step], n_frames: int) -> list[Note]:
    """Return the backbones with a receptive field longer than the window of `n_frames` frames."""
    return [
        (
            ("steps", n, "backbone"),
            f"its layers reach over {least} frames without padding, but the window has {n_frames}; "
            "lower kernel_size, blocks or the strides, raise window_s in [front_end], or set "
            'padding = "same"',
        )
        for n, step in enumerate(steps)
        if (least := getattr(getattr(step, "backbone", None), "min_frames", 1)) > n_frames
    ]


def along_a_stream(recipe: Recipe) -> list[Note]:
    """Return the steps that need features along a stream, where they depend on each window."""
    if recipe.front_end.mean != "clip":
        return []
    message = (
        'features of a stream do not have the mean of a window; set mean = "running" in '
        "[front_end], or leave this step out"
    )
    kinds = ("stream", "mine")
    return [(("steps", n), message) for n, s in enumerate(recipe.steps) if s.kind in kinds]


def without_kernel(recipe: Recipe) -> list[Note]:
    """Return the options of the front end that the C of the target does not have."""
    target, front_end = recipe.target, recipe.front_end
    if target.kind not in ("c_host", "cortex_m"):
        return []
    if front_end.mean == "clip":
        message = 'the target runs the portable C, which follows a stream; set mean = "running"'
        return [(("front_end", "mean"), message)]
    if front_end.compression == "pcen" and not getattr(target, "floats", True):
        message = 'the target has no floating point; set mean = "running" instead of PCEN'
        return [(("front_end", "compression"), message)]
    return []


def notes(steps: Sequence[Step]) -> list[Note]:
    """Return notes on a chain that can run, but looks unintended."""
    used = {name for step in steps for name in step.named_inputs}
    return [
        (
            ("steps", n),
            f'nothing uses the result of "{step.name}": "{after.name}" after it starts from '
            "scratch, and no step names it",
        )
        for n, (step, after) in enumerate(pairwise(steps))
        if after.takes is None and step.name not in used
    ]


def idle_masking(steps: Sequence[Step]) -> list[Note]:
    """Return notes on trainings with `masking` in a recipe without masks."""
    return [
        (
            ("steps", n, "training", "masking"),
            "has no effect: [augment] has no spec_augment; add it, or take masking out",
        )
        for n, step in enumerate(steps)
        if getattr(getattr(step, "training", None), "masking", 1) != 1
    ]


def _name(step: Step, earlier: Earlier) -> Iterator[Note]:
    path = ("steps", len(earlier), "name")
    message = slug_problem(step.name)
    if message:
        yield path, message
    if step.name in [other.name for other in earlier if other is not None]:
        yield (
            path,
            f'an earlier step is called "{step.name}" too; give one of them another name = "…"',
        )


_WHAT = {
    "checkpoint": "a checkpoint (a torch network)",
    "onnx": "an ONNX model",
    "stream": "a streaming graph, which accompanies the bundle's model",
    "audio_teacher": "a teacher that takes audio, for distill",
    "detection": "detection settings, which accompany the bundle's model",
}


def _link(step: Step, earlier: Earlier) -> Iterator[Note]:
    """Check that a step gets its input format, and that no model follows what accompanies it."""
    if step.takes is None:
        return
    if not earlier:
        yield (
            ("steps", 0),
            f'"{step.name}" needs {_WHAT[step.takes]}, but no step is before it; '
            "begin with a step that trains a network",
        )
        return
    before = earlier[-1]
    if before is not None and before.gives in BESIDE and _stands_beside(step, before):
        models = [other for other in earlier if other is None or other.gives not in BESIDE]
        before = models[-1] if models else before
    if before is not None and before.gives != step.takes:
        yield ("steps", len(earlier)), _mismatch(step, step.takes, before)


def _stands_beside(step: Step, before: Step) -> bool:
    """Return whether a step may follow one with a result that accompanies the model."""
    return step.gives in BESIDE and before.gives in step.also_takes


def _mismatch(step: Step, takes: Format, before: Step) -> str:
    message = (
        f'"{step.name}" needs {_WHAT[takes]}, '
        f'but "{before.name}" before it gives {_WHAT[before.gives]}; '
    )
    if before.gives == "audio_teacher":
        return message + f'name "{before.name}" in the teachers of a distill step instead'
    if before.gives in BESIDE:
        return message + f'move "{before.name}" to the end'
    if takes == "onnx":
        return message + 'add a step { kind = "export" } before it'
    backend = getattr(step, "backend", None)
    other = ', or choose backend = { kind = "onnxruntime" }' if backend is not None else ""
    return message + f'take "{before.name}" out or move it behind "{step.name}"{other}'


def _named_inputs(step: Step, earlier: Earlier, later: Sequence[Step | None]) -> Iterator[Note]:
    """Check that every named input is an earlier step that gives a format it may have."""
    if any(other is None for other in earlier):
        return
    before = {s.name: s for s in earlier if s is not None}
    behind = [s.name for s in later if s is not None]
    for name in step.named_inputs:
        path = ("steps", len(earlier), *_key_of(step, name))
        if name in before:
            gives = before[name].gives
            if gives not in step.teacher_formats:
                why = "learns from" if name in getattr(step, "teachers", ()) else "is built of"
                yield (
                    path,
                    f'"{step.name}" {why} "{name}", which gives {_WHAT[gives]}; '
                    "name a step that gives a checkpoint",
                )
        elif name in behind:
            yield path, f'"{name}" is not before "{step.name}"; move it there'
        else:
            hint = closest(name, tuple(before)) if before else "; no step is before it"
            yield path, f'no earlier step is called "{name}"{hint}'


def _key_of(step: Step, name: str) -> KeyPath:
    """Return the field of a step that contains the name of an input."""
    for key, value in step.model_dump().items():
        if key not in ("kind", "name") and (
            value == name or (isinstance(value, list | tuple) and name in value)
        ):
            return (key,)
    return ()


def _early_ratio(step: Step, n: int, later: Sequence[Step | None]) -> Iterator[Note]:
    """Reject a limit on the ratio to a control that does not exist yet."""
    trained = [s.name for s in later if s is not None and _trains(s)]
    for key in step.budget if trained else ():
        if key.partition("_")[2] == "latency_ratio":
            yield (
                ("steps", n, "budget", key),
                "the ratio is to the plain export of the last network trained, and "
                f'"{trained[-1]}" trains it later; move {key} to "{trained[-1]}" or after it, '
                "or limit latency_p50_us here",
            )


def _representation(step: Step, earlier: Earlier) -> Iterator[Note]:
    """Reject a conversion to 2-D of a network that is already 2-D."""
    if step.kind != "to2d":
        return
    for before in reversed(earlier):
        if before is None:
            return
        backbone = getattr(before, "backbone", None)
        if before.kind == "to2d" or (backbone is not None and backbone.representation == "2d"):
            yield (
                ("steps", len(earlier)),
                f'"{before.name}" already has the 2-D representation; '
                f'take "{step.name}" out, or give "{before.name}" a 3-D backbone',
            )
        if backbone is not None or before.takes is None:
            return
