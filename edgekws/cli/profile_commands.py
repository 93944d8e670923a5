"""The command that measures time: where it goes, and which of two models is faster."""

from pathlib import Path
from typing import Annotated

import typer

from edgekws.cli.commands import Json, view_for
from edgekws.core.events import Event
from edgekws.errors import UsageError


def profile(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL|BUNDLE|RUN…",
            help="ONNX files or bundles (folder or zip), compared with the first; or a run.",
        ),
    ],
    target: Annotated[
        str,
        typer.Option(
            "--target",
            metavar="host|c_host|cortex_m",
            help="c_host also times compiled C; cortex_m counts it on an emulated microcontroller.",
        ),
    ] = "host",
    cpu: Annotated[
        str | None,
        typer.Option("--cpu", help="With cortex_m: cortex-m0plus, -m3, -m4 (default) or -m7."),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds", min=0.01, help="Seconds to measure, including the start of sessions."
        ),
    ] = 10.0,
    threads: Annotated[
        int, typer.Option("--threads", min=1, help="onnxruntime's threads within an operator.")
    ] = 1,
    affinity: Annotated[
        str | None,
        typer.Option("--affinity", metavar="CPUS", help="Bind to these CPUs, e.g. 0 or 0,1."),
    ] = None,
    warmup: Annotated[
        int, typer.Option("--warmup", min=1, help="Untimed runs of each new session.")
    ] = 20,
    seed: Annotated[int, typer.Option("--seed", help="Seed of inputs, order and resampling.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="DIR|FILE",
            help="Also write a page with plots (.html), all figures (.json), or both: a folder.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show where a model's time goes, and which of two models is faster.

    All entries are timed interleaved, in several consecutive processes: short blocks in random
    order, with new sessions in every epoch, because the location of weights and libraries in memory
    shifts times by a few percent. Intervals are over processes; blocks in which a process waited
    for a CPU are excluded and counted. A bundle is timed from audio to label, with the shares of
    front end and network. The floor, a graph of one node, is shown for comparison.

    Several models are compared with the first, which is entered twice. If it does not equal itself
    (95 % interval within 3 % of 1), there is no verdict.
    For a run, every step is compared with its plain FP32 export.

    On cortex_m nothing is timed: flash, RAM and instructions of bundles are counted.

    \b
    Examples:
      edgekws profile dist/quickstart
      edgekws profile a.onnx b.onnx --seconds 30 --affinity 0
      edgekws profile runs/quickstart --output profile.html
      edgekws profile dist/quickstart --target c_host
      edgekws profile dist/quickstart --target cortex_m --cpu cortex-m0plus
      edgekws profile dist/old dist/new --json > profile.jsonl
    """
    from edgekws import api
    from edgekws.report import profile_page

    if target == "cortex_m":
        _show_footprint(models, cpu, output, json=json)
        return
    if cpu is not None:
        raise UsageError(f"--cpu {cpu}: only --target cortex_m has a choice of CPUs")
    if output is not None:
        profile_page.check_output(output)
    with view_for(json) as view:
        result = api.profile(
            *models,
            target=target,
            seconds=seconds,
            threads=threads,
            affinity=_cpus(affinity),
            warmup=warmup,
            seed=seed,
            emit=view.emit,
        )
        view.show(result.shown)
        if output is not None:
            for file in profile_page.write(result.value, output):
                view.emit(Event("note", f"written: {file}"))


def _show_footprint(
    bundles: list[Path], cpu: str | None, output: Path | None, *, json: bool
) -> None:
    from edgekws import api

    if output is not None:
        raise UsageError(f"--output {output}: a count on cortex_m has no page; use --json")
    with view_for(json) as view:
        result = api.footprint(*bundles, cpu=cpu or "cortex-m4", emit=view.emit)
        view.show(result.shown)


def _cpus(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--affinity {text}: CPUs by number, separated by commas") from error
