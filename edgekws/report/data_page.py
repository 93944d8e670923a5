"""The exploration of a dataset as a single self-contained HTML page."""

import json
from pathlib import Path
from typing import Any

from edgekws.core.figures import amount
from edgekws.core.output import check_form, is_folder, write_text
from edgekws.core.table import csv_text, inert_path
from edgekws.curation.explore import Exploration
from edgekws.report import _page
from edgekws.report.data_plots import MOST_LABELS, classes_svg, histograms_svg, speakers_svg

PAGES = (".html", ".htm")
PAGE, TABLE, FIGURES = "report.html", "clips.csv", "explore.json"

_SPREAD = {
    "length_s": ("length", "s"),
    "rms_dbfs": ("loudness (RMS)", "dBFS"),
    "peak_dbfs": ("largest sample", "dBFS"),
    "range_db": ("loud above quiet frames", "dB"),
}


def check_output(output: Path) -> None:
    """Refuse a path that `write_exploration` could not write, before anything is measured.

    Raises:
        UsageError: the suffix is not that of a page.
        MachineError: it cannot be written.
    """
    check_form(output, PAGES)


def write_exploration(exploration: Exploration, output: Path) -> Path:
    """Write the page, and in a folder also every clip (CSV) and all figures (JSON).

    Return the page. The same data gives the same bytes.

    Raises:
        UsageError: the suffix is not that of a page.
        MachineError: `output` cannot be written.
    """
    check_output(output)
    folder = is_folder(output)
    page = output / PAGE if folder else output
    write_text(page, page_text(exploration))
    if folder:
        write_text(output / TABLE, _table(exploration))
        text = json.dumps(exploration.to_dict(), ensure_ascii=False, indent=1)
        write_text(output / FIGURES, text + "\n")
    return page


def page_text(exploration: Exploration) -> str:
    """Return the page: what to fix, classes, lengths and levels, speakers, files."""
    from markupsafe import Markup

    values = {
        "found": exploration,
        "banner": _banner(exploration),
        "hours": f"{exploration.hours:.2f}"
        if exploration.hours >= 1
        else f"{60 * exploration.hours:.1f} min",
        "most": MOST_LABELS,
        "classes": Markup(classes_svg(exploration)),
        "histograms": Markup(histograms_svg(exploration)),
        "speakers": Markup(speakers_svg(exploration)) if exploration.clips_per_speaker else "",
        "spread": [_spread(exploration, name) for name in _SPREAD],
        "rows": [_class(exploration, label) for label in exploration.labels],
        "totals": [
            sum(exploration.counts[label][s] for label in exploration.labels)
            for s in exploration.splits
        ],
    }
    return _page.render("data.html", values)


def _table(exploration: Exploration) -> str:
    names = list(exploration.rows[0])
    inert = ({**row, "path": inert_path(row["path"])} for row in exploration.rows)
    return csv_text([names, *([row[name] for name in names] for row in inert)])


def _banner(exploration: Exploration) -> dict[str, str]:
    errors = sum(finding.level == "error" for finding in exploration.findings)
    warnings = sum(finding.level == "warning" for finding in exploration.findings)
    if errors:
        words = f"{errors} to fix before training"
    else:
        words = "Ready to train on" if not warnings else "Usable, with something to look at"
    summary = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
    rests = f"{summary} in {exploration.clips:,} clips"
    return {"kind": "broken" if errors else "ok", "words": words, "rests": rests}


def _spread(exploration: Exploration, name: str) -> dict[str, Any]:
    title, unit = _SPREAD[name]
    return {"title": title, "unit": unit, "values": [amount(v) for v in exploration.spread[name]]}


def _class(exploration: Exploration, label: str) -> dict[str, Any]:
    counts, voices = exploration.counts[label], exploration.speakers[label]
    levels = exploration.levels.get(label)
    return {
        "label": label,
        "clips": [counts[split] for split in exploration.splits],
        "all": sum(counts.values()),
        "speakers": [voices[split] for split in exploration.splits],
        "level": "–" if levels is None else f"{levels[3]:.1f}",
        "range": "" if levels is None else f"[{levels[1]:.1f}, {levels[5]:.1f}]",
    }
