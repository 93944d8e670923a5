"""Evaluations as files: JSON for machines, a picture for people, or both in a folder."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgekws.engine.evaluate import Evaluation
from edgekws.errors import MachineError, UsageError

PICTURES = (".png", ".svg", ".pdf")


def check_output(output: Path) -> None:
    """Refuse what `write_evaluations` could not write, before anything is computed.

    Raises:
        UsageError: the suffix is of no kind that is written.
    """
    if not _is_folder(output) and output.suffix.lower() not in (*PICTURES, ".json"):
        raise UsageError(
            f"{output}: --output is a folder, or a file that ends in {', '.join(PICTURES)} or .json"
        )


def write_evaluations(
    evaluations: Sequence[Evaluation], about: dict[str, Any], output: Path
) -> list[Path]:
    """Write a picture, a JSON file, or into a folder both, as the path says; return the files.

    `about` are fields that the JSON begins with.

    Raises:
        UsageError: the suffix is of no kind that is written.
        MachineError: it cannot be written.
    """
    check_output(output)
    folder = _is_folder(output)
    files = [output / "evaluation.json", output / "evaluation.png"] if folder else [output]
    try:
        files[0].parent.mkdir(parents=True, exist_ok=True)
        for file in files:
            if file.suffix.lower() == ".json":
                _write_json(evaluations, about, file)
            else:
                _write_picture(evaluations, file)
    except OSError as error:
        raise MachineError(
            f"{output}: cannot be written ({error}); name another --output"
        ) from error
    return files


def _is_folder(output: Path) -> bool:
    return output.is_dir() or not output.suffix


def _write_json(evaluations: Sequence[Evaluation], about: dict[str, Any], file: Path) -> None:
    told = {"schema": 1, **about, "evaluations": [asdict(one) for one in evaluations]}
    text = json.dumps(told, ensure_ascii=False, allow_nan=False, indent=1)
    file.write_text(text + "\n", encoding="utf-8")


def _write_picture(evaluations: Sequence[Evaluation], file: Path) -> None:
    from edgekws.report.evaluation_plots import write_picture

    write_picture(evaluations, file)
