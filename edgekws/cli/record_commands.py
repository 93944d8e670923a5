"""The command that records words: a test of a bundle with one's own voice."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekws.cli.commands import Json, view_for
from edgekws.core.events import Emit
from edgekws.errors import UsageError

if TYPE_CHECKING:
    from edgekws.curation.record import Source


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
        str, typer.Option("--speaker", metavar="NAME", help="Who speaks; begins the file names.")
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
            "--noise", metavar="SECONDS", min=0, max=36_000, help="Also record the quiet room."
        ),
    ] = 0.0,
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="A recording of one word, said again and again, instead of the microphone.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Record words with the microphone: your own voice, to test a bundle or to adapt it.

    Each word is asked for in turn. What is heard is trimmed to the word and checked; a take that is
    too quiet, clipped, cut off or empty is asked for again, and why. Clips are 16 kHz, 16 bit, at
    least one second, in the layout of Speech Commands: DIR/WORD/NAME_nohash_N.wav; the room goes to
    DIR/_background_noise_. Each clip is written at once: Ctrl-C loses nothing, and the same command
    goes on where it stopped.

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
    from edgekws.curation.record import checked_order
    from edgekws.curation.record import record as record_words
    from edgekws.report.shown import Shown

    order = checked_order(tuple(words or ()), output, per_word, speaker, noise)
    if file and len(order.words) + bool(noise) > 1:
        raise UsageError("--from FILE holds one word, or the room; run the command for each")
    if file and device:
        raise UsageError("--from FILE takes the place of the microphone; leave --device out")
    with view_for(json) as view, TakeView(view.emit) as live:
        with _source(file, device, live.emit) as source:
            recorded = record_words(order, source, live.show, live.emit)
        counts = ", ".join(f"{word} {count}" for word, count in recorded.clips.items())
        room = [f"{recorded.room_s:.0f} s of the room"] if recorded.room_s else []
        line = f"{'; '.join(filter(None, [counts, *room]))} in {output}"
        view.show(Shown("recorded", (asdict(recorded),), (), (line,)))


@contextmanager
def _source(file: Path | None, device: str | None, emit: Emit) -> "Iterator[Source]":
    """Yield the file or the microphone."""
    from edgekws.audio.microphone import open_microphone
    from edgekws.audio.opening import open_audio, recorded_blocks
    from edgekws.curation.record import Source

    if file:
        with open_audio(file) as audio:
            blocks = (block.mono for block in recorded_blocks(file, audio, 0.0, None, 0.02))
            yield Source(str(file), audio.samplerate, blocks, prompts=False)
        return
    number = int(device) if device and device.isdecimal() else device
    advice = "plug one in, or name a recording of each word with --from"
    with open_microphone(emit, advice, number) as microphone:
        yield Source("the microphone", microphone.sample_rate, microphone.blocks, prompts=True)
