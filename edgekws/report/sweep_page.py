"""The results of a sweep as a single self-contained HTML page."""

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


def write_page(results: Results, path: Path) -> None:
    """Write the page: verdicts, ranking, importance, fronts, invalid combinations, failures.

    The same results give the same bytes.
    """
    from markupsafe import Markup

    scored = [standing for standing in results.standings if standing.value is not None]
    ended = [standing for standing in scored if standing.measured]
    values = {
        "found": results,
        "banner": _banner(results),
        "rows": [_row(rank, standing) for rank, standing in enumerate(results.standings[:MOST], 1)],
        "names": list(short_names(results.axes).values()),
        "parallel": Markup(parallel_svg(results)) if scored else "",
        "fronts": Markup(fronts_svg(results)) if ended else "",
        "marginals": Markup(marginals_svg(results)) if results.marginals else "",
        "importance": [(name, f"{100 * share:.1f}") for name, share in results.importance.items()],
        "wall": f"{results.timing['wall_s'] / 60:.1f}",
    }
    write_text(path, _page.render("sweep.html", values), "name another --runs")


def _banner(results: Results) -> dict[str, str]:
    if results.effects:
        rests = f"on {results.evaluate_on}, paired; 95 % intervals"
        return {"kind": "neutral", "words": "Verdict", "rests": rests}
    best = results.standings[0] if results.standings else None
    if best is None or best.value is None:
        rests = f"{len(results.failures)} failed"
        return {"kind": "broken", "words": "No trial was completed", "rests": rests}
    ties = sum(standing.tied for standing in results.standings if standing.state == best.state) - 1
    names = short_names(best.params)
    chosen = ", ".join(f"{names[key]} {value}" for key, value in best.params.items())
    score = figures.estimate("accuracy", best.value, best.ci95)
    rests = f"{score} {results.objective} on dev"
    more = f"; {ties} more are not measurably worse" if ties > 0 else ""
    return {"kind": "neutral", "words": f"Best: {chosen}", "rests": rests + more}


def _row(rank: int, standing: Standing) -> dict[str, Any]:
    behind = ""
    if standing.best:
        behind = "best"
    elif standing.behind is not None:
        gap, low, high = map(figures.points, standing.behind)
        behind = "tie" if standing.tied else gap
        behind += f" [{low}, {high}]" if standing.behind[0] else ""
    return {
        "rank": rank,
        "choices": [str(value) for value in standing.params.values()],
        "state": standing.state,
        "base": standing.base,
        "epochs": standing.epochs,
        "seeds": len(standing.seeds),
        "score": figures.share(standing.value),
        "interval": figures.interval("accuracy", standing.ci95),
        "behind": behind,
        "gap": "" if standing.behind is None else standing.behind[0],
        "weight": [
            figures.figure(metric, standing.measured[metric]) if metric in standing.measured else ""
            for metric in ("params", "macs")
        ],
    }
