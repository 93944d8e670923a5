"""Render README.md and the pages of docs/ that hold figures, from templates and JSON files.

    python tools/render_docs.py [--check]

docs/pages/X.md.jinja becomes docs/X.md, and docs/pages/README.md.jinja the README. Every figure is
an expression over a JSON file in docs/results/, printed as the product prints it. With --check
nothing is written: the exit code is 1 where a page is not what would be written. A number
that stands in a template's own text is an error, unless the comment at its top lists it:

    {# settings
    60 epochs: of the recipe
    #}
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from edgekws.core import figures

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = "docs/pages"
README = "README.md"

Json = dict[str, Any]

_CODE = re.compile(r"```.*?```|`[^`\n]*`|\]\([^)]*\)", re.DOTALL)
_WORDS = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty"
_NUMBER = re.compile(
    rf"""(?<!\w)(?<!\w-)\d++(?:[.,/]\d++)*+(?!-[A-Za-z])
    | \b(?:{_WORDS})\b\s+(?:of|times|points?|percent|seconds?|minutes?|hours?)\b
    | \b(?:twice|half|double)\s+as\b
    | \b(?:a|one|two|three)\s+(?:third|quarter|fifth|tenth)s?\b""",
    re.VERBOSE | re.IGNORECASE,
)


class PageError(Exception):
    """A page claims what its data does not show, or holds a figure without data."""


class Data:
    """The JSON files of docs/results/, and what the templates compute from them."""

    def __init__(self, root: Path = ROOT) -> None:
        """Read from `root`/docs/results."""
        self._results = root / "docs" / "results"

    def json(self, name: str) -> Json:
        """Return docs/results/NAME.json."""
        loaded: Json = json.loads((self._results / f"{name}.json").read_text(encoding="utf-8"))
        return loaded

    def seeds(self, name: str) -> list[Json]:
        """Return NAME.json and NAME-seed-*.json: one recipe, trained several times."""
        more = sorted(self._results.glob(f"{name}-seed-*.json"))
        return [self.json(name), *(self.json(path.stem) for path in more)]


def holds(condition: object, claim: str) -> str:
    """Stop where the data no longer show what the sentence beside it claims.

    Raises:
        PageError: `condition` is false.
    """
    if not condition:
        raise PageError(f"the data no longer show this claim; rewrite the text: {claim}")
    return ""


def step(report: Json, name: str = "bundle") -> Json:
    """Return the result of one step of a report.

    Raises:
        PageError: the report has no such step.
    """
    for result in report["results"]:
        if result["name"] == name:
            return dict(result)
    raise PageError(f"{report['name']} has no step {name}")


def measurement(result: Json, metric: str) -> Json | None:
    """Return the measurement of `metric`, `None` where it was not measured."""
    return next((m for m in result["measurements"] if m["metric"] == metric), None)


def value(result: Json, metric: str) -> float:
    """Return what was measured, as a number.

    Raises:
        PageError: it was not measured.
    """
    one = measurement(result, metric)
    if one is None:
        raise PageError(f"{result['name']} has no {metric}")
    return float(one["value"])


def figure(number: float, name: str) -> str:
    """Write a number as the product writes the metric `name`."""
    return figures.figure(name, number)


def metric(result: Json, name: str, interval: bool = True) -> str:
    """Write a measurement with its 95 % interval, or the speakers that are too few for one."""
    text = figure(value(result, name), name)
    one = measurement(result, name) or {}
    if interval and one.get("ci95"):
        return f"{text} {bounds(one['ci95'], name)}"
    if interval and one.get("speakers"):
        return f"{text} ({one['speakers']} speakers)"
    return text


def bounds(ci95: Sequence[float], name: str) -> str:
    """Write a 95 % interval without its unit: `[95.3, 98.2]`."""
    return figures.interval(name, ci95)


def if_measured(result: Json, name: str, text: str = "{}") -> str:
    """Write `text` around a measurement; nothing where the JSON does not have it (yet)."""
    return text.format(metric(result, name)) if measurement(result, name) else ""


def having(rows: Sequence[Json], key: str, at: object) -> list[Json]:
    """Return the rows of a sweep whose parameter `key` is `at`."""
    return [row for row in rows if row["params"][key] == at]


def marginal(sweep: Json, axis: str, at: object) -> float:
    """Return the mean score of a sweep at one value of one axis."""
    rows = (row for row in sweep["marginals"] if row["axis"] == axis and row["value"] == at)
    return float(next(rows)["mean"])


def ratio(number: float, ci95: Sequence[float] | None = None) -> str:
    """Write a ratio with its interval, where there is one."""
    return figures.estimate("latency_ratio", number, ci95)


def decimal(number: float, digits: int = 1) -> str:
    """Write a number with as many decimals."""
    return f"{number:,.{digits}f}"


def confusions(result: Json) -> list[Json]:
    """Return what was taken for what, most frequent first: `count`, `label`, `taken_for`, `of`."""
    classes = result["details"]["per_class"]
    rows = [
        {"count": n, "label": one["label"], "taken_for": other["label"], "of": one["support"]}
        for one, row in zip(classes, result["details"]["confusion"], strict=True)
        for other, n in zip(classes, row, strict=True)
        if n and other is not one
    ]
    return sorted(rows, key=lambda row: -row["count"])


def bare_figures(source: str) -> list[str]:
    """Return the numbers that stand in a template's own text, and settings that it lists in vain.

    Code and link targets are left out; so is a number that is part of a name: INT8, 2-D.
    """
    text, settings = _own_text(source)
    found = []
    for setting in settings:
        if setting not in text:
            found.append(f"no such setting in the text: {setting}")
        text = text.replace(setting, "")
    return found + [text[max(0, m.start() - 20) : m.end() + 20] for m in _NUMBER.finditer(text)]


def _own_text(source: str) -> tuple[str, list[str]]:
    """Return what a template says without its data, and its settings."""
    parts: list[str] = []
    settings: list[str] = []
    before = ""
    claim = False
    for _, kind, token in Environment().lex(source):
        claim = kind != "variable_end" and (claim or (before, token) == ("variable_begin", "holds"))
        if kind == "comment" and token.split()[:1] == ["settings"]:
            settings += [line.partition(": ")[0] for line in token.strip().splitlines()[1:]]
        elif kind == "data":
            parts.append(token)
        elif _prints_a_number(kind, token, before) and not claim:
            parts.append(f" {token} ")
        elif kind == "variable_begin":
            parts.append("§")
        before = before if kind == "whitespace" else kind
    return re.sub(r"\s+", " ", _CODE.sub("", "".join(parts))), settings


def _prints_a_number(kind: str, token: str, before: str) -> bool:
    """Whether a token inside an expression may bring a figure into the text."""
    first = kind == "integer" and before == "variable_begin"
    return first or kind == "float" or (kind == "string" and " " in token)


def numbers(page: str) -> list[str]:
    """Return every number of a rendered page outside of code and link targets."""
    return _NUMBER.findall(_CODE.sub("", page))


def environment(root: Path = ROOT) -> Environment:
    """Return what the templates see."""
    found = Environment(
        loader=FileSystemLoader(root / TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    data = Data(root)
    filters: list[Callable[..., Any]] = [metric, figure, bounds, ratio, decimal]
    filters += [figures.share, figures.points, figures.large, figures.count, figures.duration]
    filters += [step, value, having, marginal, confusions]
    found.filters |= {function.__name__: function for function in filters}
    found.filters["mean"] = mean
    found.globals |= {
        "json": data.json,
        "seeds": data.seeds,
        "title": figures.title,
    }
    found.globals |= {"holds": holds, "measurement": measurement, "if_measured": if_measured}
    return found


def pages(root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Yield the path of every page, and its text.

    Raises:
        PageError: a template holds a bare figure, or a claim that its data do not show.
    """
    made = environment(root)
    for template in sorted((root / TEMPLATES).rglob("*.jinja")):
        name = template.relative_to(root / TEMPLATES).as_posix()
        bare = bare_figures(template.read_text(encoding="utf-8"))
        if bare:
            raise PageError(f"{name}: figures without data: {bare}")
        if template.name.startswith("_"):
            continue
        try:
            text = made.get_template(name).render()
        except PageError as error:
            raise PageError(f"{name}: {error}") from error
        text = f"<!-- Written by tools/render_docs.py: edit {TEMPLATES}/{name} -->\n{text}"
        page = name.removesuffix(".jinja")
        yield root / (page if page == README else f"docs/{page}"), text


def main() -> int:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 where a page is not current")
    parser.add_argument("--root", type=Path, default=ROOT, help="default: %(default)s")
    options = parser.parse_args()
    try:
        rendered = list(pages(options.root))
    except PageError as error:
        print(error, file=sys.stderr)
        return 1
    stale = [page for page, text in rendered if not _is(page, text)]
    if not options.check:
        for page, text in rendered:
            page.write_text(text, encoding="utf-8")
        return 0
    for page in stale:
        print(f"{page} is not current; write it with: python tools/render_docs.py", file=sys.stderr)
    return 1 if stale else 0


def _is(page: Path, text: str) -> bool:
    return page.is_file() and page.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
