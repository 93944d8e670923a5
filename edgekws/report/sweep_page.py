"""The results of a sweep as one HTML page that needs nothing beside it."""

from pathlib import Path
from typing import Any

from edgekws.core import figures
from edgekws.core.output import write_text
from edgekws.report import _page
from edgekws.report.sweep_plots import fronts_svg, marginals_svg, parallel_svg
from edgekws.search.names import short_names
from edgekws.search.results import Results, Standing

MOST = 200
"""Rows of the ranking on the page; all of them are in `ranking.csv`."""


def write_page(found: Results, path: Path) -> None:
    """Write the page: verdicts, ranking, what matters, fronts, what cannot be, what failed.

    The same results give the same bytes.
    """
    from markupsafe import Markup

    scored = [one for one in found.standings if one.value is not None]
    ended = [one for one in scored if one.measured]
    values = {
        "found": found,
        "banner": _banner(found),
        "rows": [_row(rank, one) for rank, one in enumerate(found.standings[:MOST], 1)],
        "names": list(short_names(found.axes).values()),
        "parallel": Markup(parallel_svg(found)) if scored else "",
        "fronts": Markup(fronts_svg(found)) if ended else "",
        "marginals": Markup(marginals_svg(found)) if found.marginals else "",
        "importance": [(name, f"{100 * share:.1f}") for name, share in found.importance.items()],
        "wall": f"{found.timing['wall_s'] / 60:.1f}",
    }
    write_text(path, _page.render("sweep.html", values), "name another --runs")


def _banner(found: Results) -> dict[str, str]:
    if found.effects:
        rests = f"on {found.evaluate_on}, paired; 95 % intervals"
        return {"kind": "neutral", "words": "Verdict", "rests": rests}
    best = found.standings[0] if found.standings else None
    if best is None or best.value is None:
        rests = f"{len(found.failures)} failed"
        return {"kind": "broken", "words": "No trial was completed", "rests": rests}
    ties = sum(one.tied for one in found.standings if one.state == best.state) - 1
    names = short_names(best.params)
    chosen = ", ".join(f"{names[key]} {value}" for key, value in best.params.items())
    score = figures.estimate("accuracy", best.value, best.ci95)
    rests = f"{score} {found.objective} on dev"
    more = f"; {ties} more are not measurably worse" if ties > 0 else ""
    return {"kind": "neutral", "words": f"Best: {chosen}", "rests": rests + more}


def _row(rank: int, one: Standing) -> dict[str, Any]:
    behind = ""
    if one.best:
        behind = "best"
    elif one.behind is not None:
        gap, low, high = map(figures.points, one.behind)
        behind = "tie" if one.tied else gap
        behind += f" [{low}, {high}]" if one.behind[0] else ""
    return {
        "rank": rank,
        "choices": [str(value) for value in one.params.values()],
        "state": one.state,
        "base": one.base,
        "epochs": one.epochs,
        "seeds": len(one.seeds),
        "score": figures.share(one.value),
        "interval": figures.interval("accuracy", one.ci95),
        "behind": behind,
        "gap": "" if one.behind is None else one.behind[0],
        "weight": [
            figures.figure(metric, one.measured[metric]) if metric in one.measured else ""
            for metric in ("params", "macs")
        ],
    }
