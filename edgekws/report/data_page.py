"""What is known of a dataset as one HTML page that needs nothing beside it."""

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
    """Refuse what `write_exploration` could not write, before anything is looked at.

    Raises:
        UsageError: the suffix is not that of a page.
        MachineError: it cannot be written.
    """
    check_form(output, PAGES)


def write_exploration(found: Exploration, output: Path) -> Path:
    """Write the page, and in a folder also every clip (CSV) and all figures (JSON).

    Return the page. The same data gives the same bytes.

    Raises:
        UsageError: the suffix is not that of a page.
        MachineError: `output` cannot be written.
    """
    check_output(output)
    folder = is_folder(output)
    page = output / PAGE if folder else output
    write_text(page, page_text(found))
    if folder:
        write_text(output / TABLE, _table(found))
        text = json.dumps(found.to_dict(), ensure_ascii=False, indent=1)
        write_text(output / FIGURES, text + "\n")
    return page


def page_text(found: Exploration) -> str:
    """Return the page: what to fix, classes, lengths and levels, speakers, files."""
    from markupsafe import Markup

    values = {
        "found": found,
        "banner": _banner(found),
        "hours": f"{found.hours:.2f}" if found.hours >= 1 else f"{60 * found.hours:.1f} min",
        "most": MOST_LABELS,
        "classes": Markup(classes_svg(found)),
        "histograms": Markup(histograms_svg(found)),
        "speakers": Markup(speakers_svg(found)) if found.clips_per_speaker else "",
        "spread": [_spread(found, name) for name in _SPREAD],
        "rows": [_class(found, label) for label in found.labels],
        "totals": [sum(found.counts[label][s] for label in found.labels) for s in found.splits],
    }
    return _page.render("data.html", values)


def _table(found: Exploration) -> str:
    names = list(found.rows[0])
    inert = ({**row, "path": inert_path(row["path"])} for row in found.rows)
    return csv_text([names, *([row[name] for name in names] for row in inert)])


def _banner(found: Exploration) -> dict[str, str]:
    errors = sum(one.level == "error" for one in found.findings)
    warnings = sum(one.level == "warning" for one in found.findings)
    if errors:
        words = f"{errors} to fix before training"
    else:
        words = "Ready to train on" if not warnings else "Usable, with something to look at"
    summary = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
    rests = f"{summary} in {found.clips:,} clips"
    return {"kind": "broken" if errors else "ok", "words": words, "rests": rests}


def _spread(found: Exploration, name: str) -> dict[str, Any]:
    title, unit = _SPREAD[name]
    return {"title": title, "unit": unit, "values": [amount(v) for v in found.spread[name]]}


def _class(found: Exploration, label: str) -> dict[str, Any]:
    counts, voices = found.counts[label], found.speakers[label]
    levels = found.levels.get(label)
    return {
        "label": label,
        "clips": [counts[split] for split in found.splits],
        "all": sum(counts.values()),
        "speakers": [voices[split] for split in found.splits],
        "level": "–" if levels is None else f"{levels[3]:.1f}",
        "range": "" if levels is None else f"[{levels[1]:.1f}, {levels[5]:.1f}]",
    }
