"""The command for continuous audio: which keyword, and when."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from edgekws.cli.bundle_commands import Bundle
from edgekws.cli.commands import Json
from edgekws.cli.process import drop_output
from edgekws.core.events import Emit, Event
from edgekws.errors import DataError, UsageError

if TYPE_CHECKING:
    from edgekws.cli.event_lines import Write
    from edgekws.cli.live_scores import LiveScores
    from edgekws.spotting.event_audio import EventAudio
    from edgekws.spotting.streams import Blocks, StreamDetector

MICROPHONE = "microphone"
"""The file name in events from the microphone."""


class EventFormat(StrEnum):
    """The formats of events."""

    TEXT = "text"
    CSV = "csv"
    AUDACITY = "audacity"


class Runtime(StrEnum):
    """What runs the bundle."""

    ONNXRUNTIME = "onnxruntime"
    C = "c"


def detect(
    bundle: Bundle,
    audio: Annotated[
        list[str] | None,
        typer.Argument(metavar="[AUDIO…]", help="Audio files; - is raw PCM on standard input."),
    ] = None,
    microphone: Annotated[
        bool, typer.Option("--microphone", help="Listen to the microphone until Ctrl-C.")
    ] = False,
    rate: Annotated[
        int | None,
        typer.Option(
            "--rate", metavar="HZ", min=1_000, max=768_000, help="Rate of PCM on standard input."
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", min=0, max=1, help="Threshold of every keyword."),
    ] = None,
    hop_ms: Annotated[
        float | None,
        typer.Option("--hop-ms", metavar="MS", help="Time between decisions."),
    ] = None,
    runtime: Annotated[
        Runtime,
        typer.Option("--runtime", help="c compiles the bundle's portable C and runs that."),
    ] = Runtime.ONNXRUNTIME,
    save_events: Annotated[
        Path | None,
        typer.Option(
            "--save-events", metavar="DIR", help="Also write the audio of each event as WAV."
        ),
    ] = None,
    form: Annotated[
        EventFormat | None, typer.Option("--format", help="Format of events (default: text).")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Output file (default: stdout)."),
    ] = None,
    json: Json = False,
) -> None:
    """Detect keywords in continuous audio: which, and when.

    Files may be of any length, format and rate; they are read block by block. PCM on standard
    input is 16-bit little-endian mono, at the model's rate or at --rate. Thresholds, smoothing and
    refractory time come from the bundle, unless --threshold or --hop-ms is given. --json writes one
    line per event: file, keyword, start_s, end_s, score. The bundle's own detect.py --stream gives
    the same events.

    --save-events writes the audio around each event to a new folder, with a table, events.csv.
    Listen to the false alarms, and add a folder of them to `negatives` of the recipe.

    --runtime c needs a C compiler. It takes 16-bit samples and the bundle's own thresholds.

    Unreadable files are reported and skipped, and the exit code is 5.

    \b
    Examples:
      edgekws detect dist/quickstart meeting.flac
      edgekws detect dist/quickstart *.wav --json > events.jsonl
      edgekws detect dist/quickstart talk.mp3 --format audacity --output talk.txt
      arecord -q -f S16_LE -c 1 -r 44100 -t raw | edgekws detect dist/quickstart - --rate 44100
      edgekws detect dist/quickstart --microphone --threshold 0.6
      edgekws detect dist/quickstart talks/*.flac --save-events events
    """
    names = _sources(audio or [], microphone, rate)
    _check_form(len(names), form, output, json)
    if runtime is Runtime.C and not (threshold is None and hop_ms is None):
        raise UsageError("--runtime c has the bundle's settings; leave --threshold, --hop-ms out")
    from edgekws.cli.console import Terminal
    from edgekws.cli.event_lines import json_lines, while_read
    from edgekws.cli.live_scores import LiveScores
    from edgekws.core.output import whole_text
    from edgekws.spotting import streams as engine
    from edgekws.spotting.event_audio import EventAudio

    unreadable = 0
    with ExitStack() as stack, _until_nobody_reads():
        notes = stack.enter_context(Terminal())  # on standard error, with --json as well
        detector: StreamDetector
        if runtime is Runtime.C:
            from edgekws.spotting.c_detector import c_detector

            detector = stack.enter_context(c_detector(bundle, notes.emit))
        else:
            detector = stack.enter_context(engine.detector(bundle, notes.emit, threshold, hop_ms))
        saved = EventAudio(save_events, detector.sample_rate) if save_events else None
        writers = [json_lines(sys.stdout)] if json else []
        if output:
            file = stack.enter_context(whole_text(output))
            writers = [while_read(write) for write in writers]
            writers.append(_writer(form, file, len(names)))
        elif not json:
            writers.append(_writer(form, sys.stdout, len(names)))
        live = stack.enter_context(LiveScores())
        for name in names:
            blocks = (
                engine.microphone(detector.sample_rate, notes.emit)
                if microphone
                else engine.source(name, detector.sample_rate, rate)
            )
            unreadable += not _listen(detector, name, blocks, writers, saved, live, notes.emit)
    if unreadable:
        raise DataError(f"{unreadable} of {len(names)} could not be read; their events are missing")


@contextmanager
def _until_nobody_reads() -> Iterator[None]:
    """End the block quietly when the reader of standard output has closed it."""
    try:
        yield
    except BrokenPipeError:
        drop_output(sys.stdout)


def _sources(audio: list[str], microphone: bool, rate: int | None) -> list[str]:
    """Return the names of the sources."""
    if microphone == bool(audio):
        raise UsageError("name audio files, - for standard input, or --microphone; one of these")
    if audio.count("-") > 1:
        raise UsageError("standard input, -, can be read only once")
    if rate is not None and "-" not in audio:
        raise UsageError("--rate is for PCM on standard input, -; files state their own rate")
    return [MICROPHONE] if microphone else audio


def _check_form(sources: int, form: EventFormat | None, output: Path | None, json: bool) -> None:
    if form and json and not output:
        raise UsageError("--json is a format already; with it --format is for --output FILE")
    if form is EventFormat.AUDACITY and sources > 1:
        raise UsageError("a label track of Audacity belongs to one recording; name one file")


def _writer(form: EventFormat | None, file: TextIO, sources: int) -> "Write":
    from edgekws.cli.event_lines import audacity_lines, csv_lines, text_lines

    if form is EventFormat.CSV:
        return csv_lines(file)
    if form is EventFormat.AUDACITY:
        return audacity_lines(file)
    return text_lines(file, with_names=sources > 1)


def _listen(
    detector: "StreamDetector",
    name: str,
    blocks: "Blocks",
    writers: list["Write"],
    saved: "EventAudio | None",
    live: "LiveScores",
    emit: Emit,
) -> bool:
    """Write the events of one source; return whether all of it was read."""
    from edgekws.spotting.streams import listen

    try:
        for events in listen(detector, saved.through(blocks) if saved else blocks):
            if events:
                live.clear()
            for event in events:
                for write in (*writers, *([saved.add] if saved else ())):
                    write(name, event)
            live.show(name, detector.heard_s, detector.scores)
    except DataError as error:
        live.clear()
        emit(Event("warning", str(error)))
        detector.reset()
        return False
    finally:
        if saved:
            saved.end()
    return True
