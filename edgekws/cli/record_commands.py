"""The command that records words: a test of a bundle with your own voice."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekws.cli.commands import Json, view_for
from edgekws.core.events import Emit
from edgekws.errors import DataError, UsageError

if TYPE_CHECKING:
    from edgekws.curation.record import Source

BLOCK_S = 0.02
"""Length of the blocks of a file, as those of a microphone."""


def record(
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="The folder of the recordings.")
    ],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WORD…]", help="The words to say.")
    ] = None,
    per_word: Annotated[
        int, typer.Option("--per-word", metavar="N", min=1, max=10_000, help="Clips of each word.")
    ] = 5,
    speaker: Annotated[
        str,
        typer.Option("--speaker", metavar="NAME", help="The speaker; file names begin with it."),
    ] = "me",
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="NAME|NUMBER",
            help="The microphone, as python -m sounddevice lists them.",
        ),
    ] = None,
    noise: Annotated[
        float,
        typer.Option(
            "--noise",
            metavar="SECONDS",
            min=0,
            max=36_000,
            help="Also record the room, without words.",
        ),
    ] = 0.0,
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE|DIR",
            help="Recordings of one word, repeated many times, instead of the microphone.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Record words with the microphone: your own voice, to test a bundle or to adapt it.

    The words are prompted in turn. Each take is trimmed to the word and checked; one that is too
    quiet, clipped, cut off or empty is repeated, and the reason is shown. Clips are 16 kHz, 16 bit,
    at least one second, in the layout of Speech Commands: DIR/WORD/NAME_nohash_N.wav; recordings of
    the room go to DIR/_background_noise_. Each clip is written at once: Ctrl-C loses nothing, and
    the same command resumes where it stopped.

    The microphone needs the package sounddevice: pip install 'edgekws[microphone]'.

    \b
    Examples:
      edgekws record lights music --output my-voice
      edgekws record lights music --per-word 10 --speaker anna --noise 120 --output my-voice
      edgekws record lights --from lights.wav --output my-voice
      edgekws evaluate dist/lights --recordings my-voice
    """
    from dataclasses import asdict

    from edgekws.cli.take_view import TakeView
    from edgekws.curation.record import record as record_words
    from edgekws.curation.record_order import checked_order
    from edgekws.report.shown import Shown

    order = checked_order(tuple(words or ()), output, per_word, speaker, noise)
    if file and len(order.words) + bool(noise) > 1:
        raise UsageError(
            "--from has recordings of one word, or of the room; run the command for each"
        )
    if file and device:
        raise UsageError("--from takes the place of the microphone; leave --device out")
    with view_for(json) as view, TakeView(view.emit) as live:
        sources = _files(file) if file else _microphone(device, live.emit)
        recorded = record_words(order, sources, live.show, live.emit)
        line = f"{recorded.summary} in {output}"
        view.show(Shown("recorded", (asdict(recorded),), (), (line,)))


def _files(path: Path) -> "Iterator[Source]":
    """Yield a file, or the files of a folder one after the other."""
    from collections import Counter

    from edgekws.audio.folders import audio_files_under
    from edgekws.audio.opening import open_audio, recorded_blocks
    from edgekws.curation.record import Source

    files = audio_files_under(path, Counter()) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: holds no recordings; name another with --from")
    for file in files:
        with open_audio(file) as audio:
            blocks = (block.mono for block in recorded_blocks(file, audio, 0.0, None, BLOCK_S))
            yield Source(str(file), audio.samplerate, blocks, prompts=False)


def _microphone(device: str | None, emit: Emit) -> "Iterator[Source]":
    from edgekws.audio.microphone import open_microphone
    from edgekws.curation.record import Source

    number = int(device) if device and device.isdecimal() else device
    advice = "plug one in, or name a recording of each word with --from"
    with open_microphone(emit, advice, number) as microphone:
        yield Source("the microphone", microphone.sample_rate, microphone.blocks, prompts=True)
