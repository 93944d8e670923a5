"""What is known of a dataset as one HTML page that needs nothing beside it."""

import csv
import json
from pathlib import Path
from typing import Any

from edgekws.engine.data_explore import Exploration
from edgekws.errors import MachineError
from edgekws.report import _page
from edgekws.report._numbers import amount
from edgekws.report.data_plots import MOST_LABELS, classes_svg, histograms_svg, speakers_svg

PAGE, TABLE, FIGURES = "report.html", "clips.csv", "explore.json"

_SPREAD = {
    "length_s": ("length", "s"),
    "rms_dbfs": ("loudness (RMS)", "dBFS"),
    "peak_dbfs": ("largest sample", "dBFS"),
    "range_db": ("loud above quiet frames", "dB"),
}


def write_exploration(found: Exploration, output: Path) -> Path:
    """Write the page, and in a folder also every clip (CSV) and all figures (JSON).

    Return the page. The same data gives the same bytes.

    Raises:
        MachineError: `output` cannot be written.
    """
    alone = output.suffix.lower() in (".html", ".htm")
    page = output if alone else output / PAGE
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(page_text(found), encoding="utf-8")
        if not alone:
            _write_table(found, output / TABLE)
            text = json.dumps(found.to_dict(), ensure_ascii=False, indent=1)
            (output / FIGURES).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise MachineError(f"{page}: cannot be written ({error}); name another --output") from error
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


def _write_table(found: Exploration, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(found.rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(found.rows)


def _banner(found: Exploration) -> dict[str, str]:
    errors = sum(one.level == "error" for one in found.findings)
    warnings = sum(one.level == "warning" for one in found.findings)
    if errors:
        words = f"{errors} to fix before training"
    else:
        words = "Ready to train on" if not warnings else "Usable, with something to look at"
    told = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
    rests = f"{told} in {found.clips:,} clips"
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
