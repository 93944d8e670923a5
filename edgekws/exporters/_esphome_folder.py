"""The files of an export to ESPHome, beside the models."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekws.about import version

if TYPE_CHECKING:
    from edgekws.tflite.keyword_export import Model

FORM, RECORD = "ESPHome", "edgekws.json"
_FIXED = frozenset((RECORD, "README.md", "esphome.yaml"))
SITE = "https://esphome.io/components/micro_wake_word"
OLDEST = "2024.7.0"
STEP_MS = 10


def belongs(path: Path) -> bool:
    """Return whether a path in the folder is of the export that its record describes.

    Models of others, which may lie beside it, are not.
    """
    return path.name in _FIXED or path.with_suffix(".tflite").name in _recorded(path.parent)


def _recorded(folder: Path) -> frozenset[str]:
    """Return the names of the models that the record of a folder lists."""
    try:
        models = json.loads((folder / RECORD).read_text("utf-8"))["models"]
        return frozenset(model["file"] for model in models.values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return frozenset()


def names(keywords: Iterable[str]) -> dict[str, str]:
    """Return the keywords by the names of their files.

    >>> names(["Hey Foo", "hey-foo"])
    {'hey_foo': 'Hey Foo', 'hey_foo_2': 'hey-foo'}
    """
    named: dict[str, str] = {}
    for keyword in keywords:
        plain = "".join(char if char.isalnum() else "_" for char in keyword.lower())
        name, number = plain, 2
        while name in named or f"{name}.json" == RECORD:
            name, number = f"{plain}_{number}", number + 1
        named[name] = keyword
    return named


def manifest(name: str, keyword: str, model: "Model") -> str:
    """Return the manifest, version 2, of a model."""
    written = {
        "type": "micro",
        "wake_word": keyword,
        "author": f"edgekws {version()}",
        "website": SITE,
        "model": f"{name}.tflite",
        "trained_languages": [],
        "version": 2,
        "micro": {
            "probability_cutoff": round(model.cutoff, 4),
            "feature_step_size": STEP_MS,
            "sliding_window_size": model.window,
            "tensor_arena_size": model.arena,
            "minimum_esphome_version": OLDEST,
        },
    }
    return json.dumps(written, ensure_ascii=False, indent=2) + "\n"


def yaml(keywords: Iterable[str]) -> str:
    """Return what an ESPHome configuration needs to use the models."""
    models = "".join(f"    - model: {name}.json\n" for name in names(keywords))
    return f"""\
# Copy the .tflite and .json files beside the configuration. A microphone has to be set up there.
micro_wake_word:
  models:
{models}\
  on_wake_word_detected:
    - logger.log:
        format: "detected %s"
        args: ["wake_word.c_str()"]
"""


def record(sha256: str, source: str, models: "Mapping[str, Model]") -> str:
    """Return `edgekws.json`: what was measured; `source` is where the thresholds are from."""
    written = {
        "edgekws": version(),
        "bundle": sha256,
        "thresholds": source,
        "models": {
            keyword: {
                "file": f"{name}.tflite",
                "bytes": len(models[keyword].content),
                "arena_bytes": models[keyword].arena,
                "runs": models[keyword].runs,
                "different": models[keyword].different,
                "largest_difference": models[keyword].largest_difference,
            }
            for name, keyword in names(models).items()
        },
    }
    return json.dumps(written, ensure_ascii=False, indent=1) + "\n"


def notes(recorded: dict[str, Any]) -> tuple[str, ...]:
    """Return in lines what the record says of the models."""
    lines = [
        f"{model['file']}: {model['bytes']:,} bytes, arena {model['arena_bytes']:,}; on the golden "
        f"clips, scores differ by up to {model['largest_difference']:.3g} from the bundle's, and "
        f"{model['different']} of {model['runs']} are on the other side of the cutoff"
        for model in recorded["models"].values()
    ]
    if recorded["thresholds"] == "default":
        lines.append("cutoffs are defaults, not calibrated: run edgekws calibrate, export again")
    return tuple(lines)


def readme(models: "Mapping[str, Model]") -> str:
    """Return the README of an export."""
    rows = "".join(
        f"| `{name}.tflite` | {keyword} | {len(models[keyword].content):,} "
        f"| {models[keyword].arena:,} | {models[keyword].cutoff:.4g} | {models[keyword].window} "
        f"| {models[keyword].largest_difference:.3g} "
        f"| {models[keyword].different} of {models[keyword].runs} |\n"
        for name, keyword in names(models).items()
    )
    return f"""# Wake words for ESPHome

Models for micro_wake_word, written by edgekws {version()}. `esphome.yaml` is a snippet for the
configuration; Home Assistant's satellites that use pymicro-wakeword take the .json files.

| file | keyword | bytes | arena | cutoff | window | differs by | other side |
|---|---|---|---|---|---|---|---|
{rows}
Each model gives the score of one keyword: the product of the logistic functions of its logit minus
that of each other label. It is never more than the softmax of the bundle, and equal to it but for
8-bit rounding where a single other label counts. *differs by* is the largest difference from the
softmax on the golden clips, *other side* counts those on the other side of the cutoff.

The arena is what TFLM needs on a machine of 64 bits, and at most what Espressif's kernels, ESP-NN,
take beside it on an ESP32-S3. A model fires when the mean of its last *window* scores exceeds the
cutoff. ESPHome keeps cutoffs in steps of 1/255, rounded down.
"""
