"""Tables of clips, in every way that a person or a program may have spoiled them."""

import csv
import io
import json
from pathlib import Path
from random import Random
from typing import Literal

from tools.fuzzing import material
from tools.fuzzing.case import ANY_INPUT, Box, Case
from tools.fuzzing.damage import NUMBERS, TEXTS, damaged, recoded, value

_SUFFIXES = (".csv",) * 8 + (".tsv",) * 3 + (".jsonl",) * 6 + (".ndjson", ".CSV", ".txt", "")
_SEPARATORS = (",", "\t", ";", "|", ":", " ")
Rows = list[dict[str, str]]


def prepare(folder: Path) -> None:
    """Write a bundle, recordings, and the rows of sound tables."""
    material.bundle(folder)
    material.write_rows(folder / "clips.jsonl", material.clips(folder / "clips"))
    material.write_rows(folder / "labels.jsonl", material.track(folder / "talk" / "long.wav"))


def make(rng: Random, folder: Path, box: Box) -> Case:
    """Write a table and give it to one of the commands that read one."""
    suffix = rng.choice(_SUFFIXES)
    table = box.inputs / f"table{suffix}"
    json_out = ("--json",) if rng.random() < 0.4 else ()
    how = rng.randrange(10)
    labelled = how >= 6
    rows = material.read_rows(folder / ("labels.jsonl" if labelled else "clips.jsonl"))
    if how < 3:
        rows = [{"file": row["path"], **row} for row in rows[:4]]
    table.write_bytes(_table(rng, rows, suffix))
    bundle = str(folder / "bundle")
    if how < 3:
        arguments = ["predict", bundle, str(table), "--output", "labels.csv"]
    elif how < 6:
        arguments = ["data", "explore", str(table), "--output", rng.choice((".", "page.html"))]
        arguments += _settings(rng)
    elif how < 9:
        arguments = ["evaluate-events", bundle, "--positives", str(table)]
        arguments += _where(rng)
    else:
        arguments = ["calibrate", bundle, "--positives", str(table), "--output", "made"]
        arguments += [
            f"--max-fa-per-hour={rng.choice(('0', '2', '1e9', 'nan', 'inf', '-1', '1e-9'))}"
        ]
        arguments += _where(rng)
    return Case((*arguments, *json_out), ANY_INPUT)


def _settings(rng: Random) -> list[str]:
    if rng.random() < 0.7:
        return []
    key = rng.choice((
        "dataset.columns.path", "dataset.columns.label", "dataset.root", "dataset.where.split",
        "dataset.keywords", "dataset.noise", "dataset.speaker_pattern", "front_end.window_s",
        "dataset.dev_fraction", "dataset.windows", "front_end.sample_rate",
    ))  # fmt: skip
    text = rng.choice((*TEXTS, *NUMBERS, '["низкий"]', "{}", "{per_keyword=4}", "[]")).replace(
        "\0", ""
    )
    return ["--set", f"{key}={text[:2000]}"]


def _where(rng: Random) -> list[str]:
    found = []
    if rng.random() < 0.2:
        column = rng.choice(("speaker", "keyword", "file", "none", ""))
        found += ["--where", f"{column}={rng.choice(('s0', 's0,s1', '', ',', 'x'))}"]
    if rng.random() < 0.2:
        found += [f"--tolerance-s={rng.choice(('0', 'nan', 'inf', '-1', '1e9', '1e308'))}"]
    return found


def _table(rng: Random, rows: Rows, suffix: str) -> bytes:
    columns = list(rows[0])
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        _spoil_rows(rng, rows, columns)
    if suffix in (".jsonl", ".ndjson"):
        text = _json_lines(rng, rows, columns)
    else:
        text = _separated(rng, rows, columns, suffix)
    data = recoded(rng, text)
    return damaged(rng, data) if rng.random() < 0.2 else data


def _spoil_rows(rng: Random, rows: Rows, columns: list[str]) -> None:
    row = rng.choice(rows) if rows else {}
    change = rng.randrange(8)
    if change < 4 and columns:
        column = rng.choice(columns)
        numeric = column.endswith("_s") and rng.random() < 0.7
        row[column] = rng.choice(NUMBERS if numeric else TEXTS)
    elif change == 4 and rows:
        rows.extend(dict(row) for _ in range(rng.choice((1, 1, 5, 3000))))
    elif change == 5:
        del rows[rng.randrange(len(rows) + 1) :]
    elif change == 6 and columns:
        columns[rng.randrange(len(columns))] = rng.choice((*TEXTS, *columns))[:5000]
    elif columns:
        columns.pop(rng.randrange(len(columns)))


def _separated(rng: Random, rows: Rows, columns: list[str], suffix: str) -> str:
    file = io.StringIO()
    separator = "\t" if suffix == ".tsv" else ","
    if rng.random() < 0.15:
        separator = rng.choice(_SEPARATORS)
    end = rng.choice(("\n", "\n", "\n", "\r\n", "\r\n", "\r"))
    quoting: Literal[0, 1] = csv.QUOTE_ALL if rng.random() < 0.3 else csv.QUOTE_MINIMAL
    table = csv.writer(file, delimiter=separator, lineterminator=end, quoting=quoting)
    if rng.random() < 0.95:
        table.writerow(columns)
    for row in rows:
        cells = [row.get(column, "") for column in columns]
        if rng.random() < 0.01:
            cells = cells[: rng.randrange(len(cells) + 1)] + [""] * rng.randrange(3)
        table.writerow(cells)
    head = f"sep={rng.choice((';', ',', separator, ''))}{end}" if rng.random() < 0.05 else ""
    return head + file.getvalue()


def _json_lines(rng: Random, rows: Rows, columns: list[str]) -> str:
    lines = []
    for row in rows:
        cells: dict[str, object] = {column: row.get(column) for column in columns}
        if columns and rng.random() < 0.02:
            cells[rng.choice(columns)] = value(rng)
        lines.append(json.dumps(cells, ensure_ascii=rng.random() < 0.5))
    if rng.random() < 0.1:
        strange = (
            "[]",
            "1",
            "null",
            '"x"',
            "{",
            "[" * 100_000,
            '{"a":' * 50_000,
            '{"path":1,"path":2}',
            "1" * 5000,
        )
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(strange))
    return rng.choice(("\n", "\n", "\r\n", "\n\n")).join(lines)
