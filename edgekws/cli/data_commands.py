"""The commands on data: explore, augment, synthesize."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edgekws.cli.commands import AllowCommands, Json, Overrides, view_for
from edgekws.core.events import Event, quiet
from edgekws.errors import DataError
from edgekws.report.shown import Shown

data = typer.Typer(
    name="data",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Explore, augment and synthesize data.",
)


class AudioForm(StrEnum):
    """The formats of written clips."""

    WAV = "wav"
    FLAC = "flac"


Source = Annotated[
    str,
    typer.Argument(
        metavar="DIR|TABLE|RECIPE",
        help="Word folders, a table of clips (.csv, .tsv, .jsonl), or a recipe.",
    ),
]


@data.command()
def explore(
    source: Source,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="DIR|FILE.html",
            help="A folder for page, clips.csv and explore.json, or the page alone; "
            "default: runs/data/NAME.",
        ),
    ] = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Explore a dataset: what each class contains, how it sounds, and what to fix.

    Clips and speakers of every class and split; lengths, loudness, clipping, silence, offsets and
    rates; duplicate recordings, also if amplified, cut or converted; speakers or recordings in two
    splits; unreadable files. Faulty data is reported, not refused: the exit code is 0, or 5 if
    nothing at all can be read.

    For a folder or table, --set takes the keys of a recipe's [dataset] and [front_end]. --json
    prints one object.

    \b
    Examples:
      edgekws data explore recordings
      edgekws data explore clips.csv --set dataset.columns.path=file --output clips.html
      edgekws data explore recipe.toml --json > data.json
    """
    from edgekws.cli.data_tables import exploration_tables
    from edgekws.curation.explore import explore as look
    from edgekws.curation.source import data_source
    from edgekws.report.data_page import check_output, write_exploration

    if output is not None:
        check_output(output)
    given = data_source(source, overrides or ())
    with view_for(json) as view:
        emit = quiet if json else view.emit
        exploration = look(given, emit)
        page = write_exploration(exploration, output or Path("runs/data") / exploration.name)
        record = exploration.to_dict() | {"page": str(page)}
        view.show(Shown("data", (record,), *exploration_tables(exploration)))
        emit(Event("note", f"page in {page}"))


@data.command()
def augment(
    source: Source,
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="The new folder to write.")
    ],
    copies: Annotated[
        int, typer.Option("--copies", metavar="N", min=1, help="Copies of each training clip.")
    ] = 1,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Random seed (default: the recipe's).")
    ] = None,
    form: Annotated[
        AudioForm, typer.Option("--format", help="Format of the clips, 16 bit.")
    ] = AudioForm.WAV,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Write augmented clips and their originals to a new folder.

    [augment] of the recipe, or --set without one, chooses what is applied: speed, pitch_semitones,
    formant, room, time_shift_ms, noise, microphone, gain_db, telephone. Only training clips are
    augmented; dev and test are written unchanged. manifest.csv lists every clip with the values
    drawn for it, and is a dataset of kind manifest. The same data, options and versions give the
    same bytes.

    The folder appears once it is complete; to resume an interrupted run, repeat the command.
    Unreadable files are reported and skipped, and the exit code is 5.

    \b
    Examples:
      edgekws data augment recordings --output more --copies 4 --set augment.speed=[0.9,1.1]
      edgekws data augment recordings --output noisy --set dataset.noise=noise \\
        --set augment.noise.snr_db=[0,15]
      edgekws data augment recipe.toml --output more --seed 7 --format flac
    """
    from dataclasses import asdict

    from edgekws.curation.augment import augment as make
    from edgekws.curation.source import data_source

    given = data_source(source, overrides or ())
    with view_for(json) as view:
        drawn = given.seed if seed is None else seed
        augmented = make(given, output, copies, form.value, drawn, view.emit)
        originals = f"{augmented.originals:,} originals"
        line = f"{originals} and {augmented.augmented:,} augmented clips in {output}"
        use = f'dataset = {{ kind = "manifest", path = "{output / "manifest.csv"}" }}'
        view.show(Shown("augmented", (asdict(augmented),), (), (line, use)))
    if augmented.unreadable:
        raise DataError(f"{len(augmented.unreadable)} clips are not in {output}: cannot be read")


@data.command()
def synth(
    words: Annotated[
        str,
        typer.Argument(
            metavar="WORDS|FILE", help="Words separated by commas, or a file with one per line."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="The new folder to write.")
    ],
    clips: Annotated[
        int, typer.Option("--clips", metavar="N", min=1, help="Clips per word.")
    ] = 100,
    voices: Annotated[
        str | None,
        typer.Option(
            "--voices", metavar="N|NAMES", help="How many voices, or which (default: all)."
        ),
    ] = None,
    language: Annotated[
        str, typer.Option("--language", metavar="CODE", help="Language, as en, en-us, de or ar.")
    ] = "en",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed.")] = 0,
    overrides: Overrides = None,
    allow_commands: AllowCommands = False,
    json: Json = False,
) -> None:
    """Synthesize words into a folder in the layout of Speech Commands.

    espeak-ng speaks, or the engines of --set dataset.voices.

    Files are WORD/VOICE_nohash_N.wav, 16 kHz, 16 bit, one second; change rate or length with
    --set front_end.sample_rate=8000, --set front_end.window_s=1.5. A voice is an accent of the
    language with a variant (en-us+f1) and counts as a speaker; no variant is in two splits.
    manifest.csv, validation_list.txt and testing_list.txt list the splits, so the folder is a
    dataset of kind folder or manifest. The same options give the same bytes.

    \b
    Examples:
      edgekws data synth lights,music,stop --output spoken
      edgekws data synth words.txt --language de --clips 300 --output deutsch
      edgekws data synth yes,no --voices en-us+f1,en-gb+m3,croak --output three
      edgekws data synth yes,no --set 'dataset.voices=[{kind="kokoro"}]' --output neural
    """
    from dataclasses import asdict

    from edgekws.core.permission import commands_allowed
    from edgekws.curation.synth import synth as speak
    from edgekws.curation.synth import words_of

    with view_for(json) as view, commands_allowed(allow_commands):
        spoken = speak(
            words_of(words), output, language, clips, voices, seed, overrides or (), view.emit
        )
        shares = ", ".join(f"{split} {count:,}" for split, count in spoken.splits.items())
        words_by = f"{len(spoken.words)} words by {spoken.voices} voices"
        line = f"{spoken.clips:,} clips of {words_by} ({shares})"
        view.show(Shown("spoken", (asdict(spoken),), (), (f"{line} in {output}",)))
