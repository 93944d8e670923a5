"""Evaluations as files: JSON for machines, a picture for people, or both in a folder."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgekws.core.output import PICTURES, check_form, is_folder, write_text
from edgekws.evaluation.evaluate import Evaluation


def check_output(output: Path) -> None:
    """Refuse a path that `write_evaluations` could not write, before anything is computed.

    Raises:
        UsageError: the suffix is of no kind that is written.
        MachineError: it cannot be written.
    """
    check_form(output, (*PICTURES, ".json"))


def write_evaluations(
    evaluations: Sequence[Evaluation], about: dict[str, Any], output: Path
) -> list[Path]:
    """Write a picture, JSON, or both to a folder, depending on the path; return the files.

    `about` are fields that the JSON begins with.

    Raises:
        UsageError: the suffix is of no kind that is written.
        MachineError: it cannot be written.
    """
    check_output(output)
    folder = is_folder(output)
    files = [output / "evaluation.json", output / "evaluation.png"] if folder else [output]
    for file in files:
        if file.suffix.lower() == ".json":
            _write_json(evaluations, about, file)
        else:
            _write_picture(evaluations, file)
    return files


def _write_json(evaluations: Sequence[Evaluation], about: dict[str, Any], file: Path) -> None:
    content = {
        "schema": 1,
        **about,
        "evaluations": [asdict(evaluation) for evaluation in evaluations],
    }
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)
    write_text(file, text + "\n")


def _write_picture(evaluations: Sequence[Evaluation], file: Path) -> None:
    from edgekws.report.evaluation_plots import write_picture

    write_picture(evaluations, file)
