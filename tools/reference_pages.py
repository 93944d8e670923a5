"""Write the pages of docs/reference/ from the code: recipe keys, commands, metrics, exit codes.

    python tools/reference_pages.py [--check]

With --check nothing is written: the exit code is 1 where a page is not what would be written.
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from inspect import getdoc
from pathlib import Path

from edgekws import errors
from edgekws.core import figures
from edgekws.core.measurement import ACCURACIES, BUNDLE_METRICS, CONTINUOUS, METRICS
from tools.command_reference import commands_page
from tools.recipe_reference import recipe_page, sweep_page

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "docs/reference"
NOTE = "<!-- Written by tools/reference_pages.py from the code -->\n"

MEANINGS = {
    "params": "Weights and biases of the network, BatchNorm folded.",
    "macs": "Multiply-accumulates of the network for one second of audio, at batch 1.",
    "size_kib": "Size of the ONNX file, with its external data where it has any.",
    "peak_ram_kib": "Most memory that activations occupy at once, at batch 1.",
    "int8_coverage": "Share of the MACs that onnxruntime executes in INT8, read off the graph "
    "after its own optimizations.",
    "accuracy": "Share of all clips whose label is right.",
    "macro_recall": "Recall averaged over the keywords and `_unknown_`; each counts the same, "
    "however many clips it has.",
    "keyword_recall": "Share of the keyword clips whose label is right.",
    "unknown_recall": "Share of the `_unknown_` clips that are recognized as such.",
    "silence_recall": "Share of the `_silence_` clips that are recognized as such.",
    "unknown_accepted": "Share of the `_unknown_` clips that are taken for a keyword.",
    "miss_rate": "Share of the keywords in the streams that no event hits.",
    "false_alarms_per_hour": "Events that hit no keyword, all keywords together, per hour of the "
    "streams without keywords.",
    "detection_delay_ms": "Median audio time from the end of a keyword to the moment when its "
    "event is reported.",
    "unheard_accepted": "Share of the `_unknown_` clips that are taken for a keyword, among words "
    "that no training clip has.",
    "latency_p50_us": "Median time of one run of the network on the target.",
    "latency_p90_us": "Time within which nine of ten runs of the network finish.",
    "latency_p99_us": "Time within which 99 of 100 runs of the network finish.",
    "latency_ratio": "Latency divided by that of the control, which is measured interleaved in "
    "the same processes: the plain `torch.onnx.export` of the network that was trained last.",
    "front_end_size_kib": "Size of the front end's ONNX file.",
    "front_end_macs": "Multiply-accumulates of the front end for one second of audio.",
    "front_end_peak_ram_kib": "Most memory that the front end's activations occupy at once.",
    "front_end_latency_p50_us": "Median time of the front end for one window of audio.",
    "front_end_latency_p90_us": "Time within which nine of ten runs of the front end finish.",
    "bundle_size_kib": "All files that a device needs: front end, network, `detect.py`, "
    "`labels.txt` and `manifest.json`, for clips or for a stream, whichever is larger.",
    "total_macs": "MACs of front end and network added up.",
    "total_peak_ram_kib": "Peak memory of front end and network added up.",
    "total_latency_p50_us": "Median time from a window of audio to its label.",
    "total_latency_p90_us": "Time within which nine of ten windows get their label.",
    "total_latency_p99_us": "Time within which 99 of 100 windows get their label.",
    "flash_kib": "Flash of the bundle's C on a microcontroller: code, weights, tables, start-up.",
    "ram_kib": "RAM of that C: state, events, a block of samples and the deepest stack.",
    "instructions_per_s": "Instructions of that C for a second of audio.",
    "front_end_instructions_per_s": "Instructions of the front end for a second of audio.",
    "network_instructions_per_s": "Instructions of the network for a second of audio.",
}

READ = {
    "CC": "C compiler of `detect --runtime c`, of exports to C and of the target `c_host`.",
    "EDGEKWS_CACHE": "Folder of cached steps and features. Without it: `edgekws` in the user's "
    "cache folder, which `XDG_CACHE_HOME` moves.",
    "GITHUB_ACTIONS": "`true` makes `edgekws check` write annotations for GitHub, as "
    "`--format github` does.",
    "RAY_ADDRESS": "Cluster of `edgekws sweep --engine ray` if `--ray-address` is not given.",
    "TMPDIR": "Folder of temporary files.",
}
"""What edgekws itself reads."""

READ_BY_OTHERS = {
    "NO_COLOR": "Any value turns colour off.",
    "CUDA_VISIBLE_DEVICES": "Which GPUs torch may use for training; empty for none.",
}
"""What libraries below it read."""

SET = {
    "ORT_DISABLE_TELEMETRY": "Set to `1`, so that onnxruntime sends nothing; `0` turns its "
    "telemetry on.",
    "CUBLAS_WORKSPACE_CONFIG": "Set to `:4096:8`, so that training on a GPU is repeatable.",
    "MPLCONFIGDIR": "Set to a folder in the cache, so that matplotlib writes nothing into HOME.",
}
"""What edgekws sets for libraries unless it is set already."""

TESTS = {
    "EDGEKWS_TEST_DATA": "Folder of real recordings for the tests: `asc/`, `wuw2/`, "
    "`librispeech/`, `noise/`.",
}
"""What the project's own tests read."""


def metrics_page() -> str:
    """Return the page of every metric as Markdown.

    Raises:
        KeyError: a metric that no table here describes.
    """
    if missing := set(METRICS) - set(MEANINGS):
        raise KeyError(f"{missing}: describe them in tools/reference_pages.py")
    rows = [_metric_row(metric, unit) for metric, unit in METRICS.items()]
    return "\n".join([METRICS_INTRO, *rows, METRICS_END])


METRICS_INTRO = """# Metrics

Every metric that a `[budget]` can limit, as `max_` or `min_` and its name: `max_params = 10_000`,
`min_macro_recall = 0.9`. Shares are numbers between 0 and 1. [How numbers are
made](../explanation/how-numbers-are-made.md) says how each is measured.

The column *of* says where a metric is measured. Those of a *step* are measured after every step.
Those of the *bundle* are known only once the bundle is packed; `plan` predicts what can be counted.
Those with *clips* need labelled audio.

| metric | in tables | unit | of | meaning |
|---|---|---|---|---|"""


METRICS_END = """
## In continuous speech

Metrics of *streams* are measured if the recipe has a step `calibrate`, or limits one of them: on
dev after `quantize`, with thresholds chosen for each model, and after `calibrate`; for the bundle
on test. If the data says when keywords are spoken, streams are its own recordings; otherwise
keyword clips are set into speech of the same split, 10 to 30 dB above it.

`edgekws evaluate-events` and `edgekws calibrate` report these, in total and for each keyword, with
intervals by speaker or by recording:

| figure | meaning |
|---|---|
| misses | Labelled keywords that no event overlaps, with the tolerance of `--tolerance-s`. |
| false alarms per hour | Events that hit no label, per hour of audio without keywords. |
| error of the end | How far the end of an event is from the end of its label, as a median. |
| repeats | Further events on a label that was already hit; they do not count as false alarms. |

A rate of zero is reported as what it proves: fewer than a certain number per hour, depending on the
length of the audio.
"""


def _metric_row(metric: str, unit: str) -> str:
    of = "bundle" if metric in BUNDLE_METRICS else "step"
    of += ", clips" if metric in ACCURACIES else ", streams" if metric in CONTINUOUS else ""
    unit = {"": "–", "/s": "1/s", "/h": "1/h", "× plain export": "–"}.get(unit, unit)
    title = figures.title(metric).replace("_unknown_", "`_unknown_`")
    title = title.replace("_silence_", "`_silence_`")
    return f"| `{metric}` | {title} | {unit} | {of} | {MEANINGS[metric]} |"


def exit_codes_page() -> str:
    """Return the page of every exit code as Markdown."""
    rows = ["| 0 | – | Done. |"]
    for code, classes in sorted(_by_code().items()):
        meaning = " ".join(f"{_first_line(one)}" for one in classes)
        names = ", ".join(f"`{one.__name__}`" for one in classes)
        rows.append(f"| {code} | {names} | {meaning} |")
    rows.append("| 130 | – | Interrupted by Ctrl-C, SIGTERM or SIGHUP. |")
    return "\n".join([EXIT_CODES_INTRO, *rows, EXIT_CODES_END])


EXIT_CODES_INTRO = """# Exit codes

Every cause that you can act on has a code of its own, so that scripts can tell them apart. The
message on standard error says what was expected and what to do.

| code | exception | meaning |
|---|---|---|"""
EXIT_CODES_END = """
Code 1 without one of these exceptions is a bug: the message begins with `a bug:`, and
`edgekws --debug …` shows where it is.
"""


def _by_code() -> dict[int, list[type[errors.EdgekwsError]]]:
    found: dict[int, list[type[errors.EdgekwsError]]] = {}
    for one in vars(errors).values():
        is_error = isinstance(one, type) and issubclass(one, errors.EdgekwsError)
        if is_error and one is not errors.EdgekwsError:
            found.setdefault(one.exit_code, []).append(one)
    return found


def _first_line(documented: type) -> str:
    text = (getdoc(documented) or "").partition("\n\n")[0]
    return " ".join(text.split())


def environment_page() -> str:
    """Return the page of every environment variable as Markdown.

    Raises:
        KeyError: the code reads or sets a variable that no table here describes.
    """
    known = READ | SET
    for name in variables():
        if name not in known:
            raise KeyError(f"{name}: describe it in tools/reference_pages.py")
    parts = ["# Environment variables\n"]
    for heading, table in (
        ("Read by edgekws", READ),
        ("Read by the libraries below", READ_BY_OTHERS),
        ("Set by edgekws where you have not set them", SET),
        ("Read by the tests", TESTS),
    ):
        parts += [f"## {heading}\n", "| variable | meaning |", "|---|---|"]
        parts += [f"| `{name}` | {meaning} |" for name, meaning in sorted(table.items())]
        parts.append("")
    return "\n".join(parts)


def variables() -> set[str]:
    """Return every environment variable that the package names in `os.environ`."""
    found: set[str] = set()
    for path in sorted((ROOT / "edgekws").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found.update(_named(node))
    return found


def _named(node: ast.AST) -> Iterator[str]:
    """Yield the name in `os.environ.get(NAME)`, `.setdefault(NAME, …)` and `os.environ[NAME]`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        value, key = node.func.value, node.args[0]
    elif isinstance(node, ast.Subscript):
        value, key = node.value, node.slice
    else:
        return
    if ast.unparse(value) == "os.environ" and isinstance(key, ast.Constant):
        yield str(key.value)


PAGES = {
    "recipe.md": recipe_page,
    "sweep.md": sweep_page,
    "commands.md": commands_page,
    "metrics.md": metrics_page,
    "exit-codes.md": exit_codes_page,
    "environment.md": environment_page,
}


def main() -> int:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 where a page is not current")
    parser.add_argument("--folder", type=Path, default=ROOT / FOLDER, help="default: %(default)s")
    options = parser.parse_args()
    stale = []
    for name, make in PAGES.items():
        page, text = options.folder / name, NOTE + make().rstrip() + "\n"
        if page.is_file() and page.read_text(encoding="utf-8") == text:
            continue
        stale.append(page)
        if not options.check:
            page.write_text(text, encoding="utf-8")
    if not options.check:
        return 0
    for page in stale:
        advice = "write it with: python tools/reference_pages.py"
        print(f"{page} is not current; {advice}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
