"""Output folders of clips, which get their name only when they are complete."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekws.core.output import OTHER_OUTPUT, write_text
from edgekws.core.partial_table import Partial, part_path, partial_beside
from edgekws.errors import UsageError, writing

MANIFEST = "manifest.csv"
ABOUT = "about.json"


@dataclass(frozen=True)
class PartialFolder:
    """The hidden folder `.NAME.partial` beside the output, and the records of its manifest."""

    output: Path
    folder: Path
    records: Partial
    identity: str

    def finish(self, rows: Sequence[Sequence[Any]], about: dict[str, Any]) -> None:
        """Write the manifest and `about.json`, and give the folder its name.

        Raises:
            MachineError: it cannot be written.
        """
        self.records.finish(rows)
        text = json.dumps({"of": self.identity} | about, ensure_ascii=False, indent=1)
        write_text(self.folder / ABOUT, text + "\n")
        with writing(self.output, OTHER_OUTPUT):
            if self.output.is_dir():
                self.output.rmdir()
            self.folder.rename(self.output)

    def clear(self) -> None:
        """Remove everything but the records."""
        records = part_path(self.folder / MANIFEST)
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != records:
                path.unlink()


def is_complete(output: Path, identity: str, sources: Sequence[Path]) -> bool:
    """Return whether `output` exists with the content of `identity`.

    Raises:
        UsageError: it has other content, or is, contains or lies in one of `sources`.
    """
    target = output.resolve()
    for source in (path.resolve() for path in sources):
        if target == source or source in target.parents or target in source.parents:
            raise UsageError(f"{output}: is, is in, or holds the source {source}; name another")
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output}: is a file; name a folder with --output")
    if not output.is_dir() or not any(output.iterdir()):
        return False
    if not (output / ABOUT).is_file():
        raise UsageError(f"{output}: is not empty; name a new folder with --output")
    if _identity(output / ABOUT) != identity:
        raise UsageError(
            f"{output}: is the result of other options or other data; remove it, or name another "
            "--output"
        )
    return True


def _identity(about: Path) -> object:
    try:
        return json.loads(about.read_text(encoding="utf-8")).get("of")
    except (ValueError, AttributeError):
        return None


@contextmanager
def partial_folder(output: Path, identity: str) -> Iterator[PartialFolder]:
    """Open the partial folder; remove its content if that has another identity.

    Raises:
        UsageError: another process is writing it.
        MachineError: the folder cannot be written.
    """
    folder = output.with_name(f".{output.name}.partial")
    with partial_beside(folder / MANIFEST, identity) as records:
        partial = PartialFolder(output, folder, records, identity)
        if not records.records:
            partial.clear()
        try:
            yield partial
        except BaseException:
            if not records.records:  # there is nothing to resume from
                shutil.rmtree(folder, ignore_errors=True)
            raise
