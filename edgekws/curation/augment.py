"""Write augmented clips and their originals to a new folder, with a manifest of all draws."""

import io
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from os.path import commonpath
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from edgekws.audio.audit import check_speakers
from edgekws.audio.augmentation import Augment, Change, augment_waveform
from edgekws.audio.decoding import to_float32, to_int16
from edgekws.audio.parallel import in_parallel
from edgekws.audio.reading import read_audio
from edgekws.core.canonical import sha256_file, sha256_of
from edgekws.core.corpus import Clip, Listing
from edgekws.core.environment import cache_folder
from edgekws.core.events import Emit, Event, progress, quiet
from edgekws.core.output import write_bytes
from edgekws.core.source_code import closure
from edgekws.curation.folder import MANIFEST, PartialFolder, is_complete, partial_folder
from edgekws.curation.source import DataSource
from edgekws.errors import DataError

BLOCK = 64
"""Clips processed on all cores before their records are saved."""

COLUMNS = (
    "path", "label", "speaker", "split", "synthesizer", "made", "source", "source_start_s",
    "source_end_s", "copy", *(field.name for field in fields(Change)),
)  # fmt: skip


@dataclass(frozen=True)
class Augmented:
    """Numbers of written clips, and the unreadable files, each with the reason."""

    output: Path
    originals: int
    augmented: int
    unreadable: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Order:
    """What to write; `names` are the names of the originals, without suffix."""

    clips: tuple[Clip, ...]
    names: tuple[str, ...]
    root: Path
    noise: tuple[Path, ...]
    augment: Augment
    copies: int
    seed: int
    sample_rate: int
    form: str


def augment(
    source: DataSource, output: Path, copies: int, form: str, seed: int, emit: Emit
) -> Augmented:
    """Write the clips of a dataset, `copies` augmented versions of each train clip, and a manifest.

    Clips are 16 bit at the front end's rate and keep their length; those of dev and test are not
    augmented. All draws depend on the seed, the copy and the clip. The folder gets its name when it
    is complete; the same call resumes an interrupted one.

    Raises:
        DataError: the data cannot be listed, a speaker is in two splits, or nothing can be read.
        UsageError: `output` has other content, or overlaps with the source.
        MachineError: `output` cannot be written.
    """
    dataset: Any = source.dataset
    if getattr(dataset, "spoken", None):  # sentences for windows, none of which is written
        dataset = dataset.model_copy(update={"spoken": None})
    listing = dataset.list_clips(source.front_end, source.seed, cache_folder(), quiet)
    check_speakers(listing.clips)
    order = _order(source, listing, copies, form, seed)
    identity = _identity(order, emit)
    if is_complete(output, identity, _folders(source, order.clips)):
        emit(Event("note", f"{output} exists already, with the same content"))
        return _counted(output, order, ())
    if source.augment.spec_augment is not None:
        emit(Event("note", "augment.spec_augment masks features; it is left to training"))
    with partial_folder(output, identity) as partial:
        _write_clips(order, partial, emit)
        rows = [row for record in partial.records.records for row in record.get("rows", ())]
        if not rows:
            raise DataError(f"{source.source}: none of its clips can be read")
        unreadable = [r["unreadable"] for r in partial.records.records if "unreadable" in r]
        partial.finish([COLUMNS, *rows], _about(order, unreadable))
    return _counted(output, order, tuple((name, reason) for name, reason in unreadable))


def _counted(output: Path, order: Order, unreadable: tuple[tuple[str, str], ...]) -> Augmented:
    lines = (output / MANIFEST).read_text(encoding="utf-8").splitlines()[1:]
    copies = sum(",augmented," in line for line in lines)
    return Augmented(output, len(lines) - copies, copies, unreadable)


def _folders(source: DataSource, clips: Sequence[Clip]) -> list[Path]:
    """Return the folders of the clips."""
    root = getattr(source.dataset, "root", None)
    parents = {clip.path.parent for clip in clips}
    return [*([Path(root).expanduser()] if root else []), *sorted(parents)]


def _order(source: DataSource, listing: Listing, copies: int, form: str, seed: int) -> Order:
    clips = tuple(listing.clips)
    root = Path(commonpath([clip.path.absolute().parent for clip in clips]))
    rate = source.front_end.sample_rate
    return Order(
        clips,
        _names(clips, copies),
        root,
        listing.noise,
        source.augment,
        copies,
        seed,
        rate,
        form,
    )


def _names(clips: Sequence[Clip], copies: int) -> tuple[str, ...]:
    """Return `label/stem` for every clip, numbered if that or a copy's name is taken."""
    taken: set[str] = set()
    names = []
    for clip in clips:
        if "/" in clip.label or clip.label.startswith("."):
            raise DataError(f"{clip.path}: label {clip.label!r} cannot name a folder; rename it")
        name, number = f"{clip.label}/{clip.path.stem}", 1
        while taken & (group := {name, *(_copy_name(name, k) for k in range(1, copies + 1))}):
            number += 1
            name = f"{clip.label}/{clip.path.stem}-{number}"
        taken |= group
        names.append(name)
    return tuple(names)


def _copy_name(name: str, copy: int) -> str:
    return f"{name}-aug{copy}" if copy else name


def _identity(order: Order, emit: Emit) -> str:
    """Return a sha256 of everything that the output depends on."""
    files = list(dict.fromkeys([*(clip.path for clip in order.clips), *order.noise]))
    sums = in_parallel(lambda i: _sum(files[i]), len(files), emit, "taking checksums", 500, "files")
    sum_of = dict(zip(files, sums, strict=True))
    return sha256_of(
        {
            "clips": [
                (
                    *(name, sum_of[c.path], c.label, c.speaker, c.split),
                    *(c.start_s, c.end_s, c.synthesizer),
                )
                for name, c in zip(order.names, order.clips, strict=True)
            ],
            "noise": [sum_of[path] for path in order.noise],
            "versions": [*map(version, ("numpy", "soxr", "soundfile"))],
            "source": closure([__name__]),
        }
        | _options(order)
    )


def _sum(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError:
        return "cannot be read"  # reported when it is read


def _options(order: Order) -> dict[str, Any]:
    return {
        "augment": order.augment.model_dump(mode="json", exclude={"copies", "spec_augment"}),
        "copies": order.copies,
        "seed": order.seed,
        "sample_rate": order.sample_rate,
        "format": order.form,
    }


def _about(order: Order, unreadable: Sequence[Sequence[str]]) -> dict[str, Any]:
    noise = [path.name for path in order.noise]
    return _options(order) | {"noise": noise, "unreadable": [list(pair) for pair in unreadable]}


def _write_clips(order: Order, partial: PartialFolder, emit: Emit) -> None:
    """Write every clip without a record, block by block."""
    noise = [read_audio(path, order.sample_rate) for path in order.noise if order.augment.noise]
    before, total = len(partial.records.records), len(order.clips)
    if before:
        emit(Event("note", f"{before} of {total} clips are done already; resuming"))
    for start in range(before, total, BLOCK):
        count = min(BLOCK, total - start)

        def record(i: int, start: int = start) -> dict[str, Any]:
            return _write_clip(order, start + i, noise, partial.folder)

        records = in_parallel(record, count, quiet, "augment")
        partial.records.add(records)
        for clip in records:
            if "unreadable" in clip:
                emit(Event("warning", clip["unreadable"][1]))
        progress(emit, "augment", start + count - before, total - before, unit="clips")


def _write_clip(
    order: Order, i: int, noise: Sequence[NDArray[np.float32]], folder: Path
) -> dict[str, Any]:
    """Write a clip and its copies; return their rows, or the reason that it cannot be read."""
    clip = order.clips[i]
    source = os.path.relpath(clip.path.absolute(), order.root)
    try:
        wave = read_audio(clip.path, order.sample_rate, clip.start_s, clip.end_s)
    except DataError as error:
        return {"unreadable": [source, str(error)]}
    if not len(wave):
        return {"unreadable": [source, f"{clip.path}: holds no samples there; leave it out"]}
    original = to_int16(wave)
    rows = [_written(order, i, 0, original, None, source, folder)]
    for copy in range(1, order.copies + 1 if clip.split == "train" else 1):
        key = (order.seed, copy, i)
        augmented, change = augment_waveform(
            to_float32(original), noise, order.augment, key, order.sample_rate
        )
        rows.append(_written(order, i, copy, to_int16(augmented), change, source, folder))
    return {"rows": rows}


def _written(
    order: Order,
    i: int,
    copy: int,
    samples: NDArray[np.int16],
    change: Change | None,
    source: str,
    folder: Path,
) -> list[Any]:
    clip = order.clips[i]
    name = f"{_copy_name(order.names[i], copy)}.{order.form}"
    _write(folder / name, samples, order.sample_rate, order.form)
    drawn = _drawn(change, order) if change else [""] * len(fields(Change))
    end = "" if clip.end_s is None else clip.end_s
    cells = [name, clip.label, clip.speaker or "", clip.split, clip.synthesizer or ""]
    origin = ["augmented" if copy else "original", source, clip.start_s, end, copy or ""]
    return [*cells, *origin, *drawn]


def _drawn(change: Change, order: Order) -> list[Any]:
    """Return the draws as cells; a noise recording by its file name."""
    draws = asdict(change)
    if isinstance(change.noise, int):
        draws["noise"] = order.noise[change.noise].name
    plain = (float(v) if isinstance(v, np.floating) else v for v in draws.values())
    return ["" if value is None else value for value in plain]


def _write(path: Path, samples: NDArray[np.int16], sample_rate: int, form: str) -> None:
    """Write an audio file atomically."""
    encoded = io.BytesIO()
    soundfile.write(encoded, samples, sample_rate, subtype="PCM_16", format=form.upper())
    write_bytes(path, encoded.getvalue())
