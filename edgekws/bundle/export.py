"""Give a bundle away in another form: checked before, and again as it was written."""

from dataclasses import dataclass
from pathlib import Path

from edgekws.bundle.archive import unpacked
from edgekws.bundle.delivery import deliver, obstacle, replace_folder
from edgekws.bundle.members import SUMS
from edgekws.bundle.verify import named, verify_folder
from edgekws.core.output import OTHER_OUTPUT, write_bytes
from edgekws.core.protocols import Exporter
from edgekws.core.scratch import scratch_folder
from edgekws.core.verified import Verified
from edgekws.errors import UsageError, writing


@dataclass(frozen=True)
class Exported:
    """What was written where; `verified` is the result of checking the written form."""

    output: Path
    form: str
    verified: Verified


def export(bundle: Path, exporter: Exporter, output: Path) -> Exported:
    """Write a bundle (a folder or a zip) to `output` in another form.

    It is verified before, and what was written is proven before it gets its name. What has that
    form at `output` already is replaced.

    Raises:
        UsageError: `output` holds something else, or is the bundle, or that has no ONNX models.
        DataError: the bundle is damaged, incomplete or not safe.
        ParityError: the logits on the golden clips are not those written down.
        MachineError: `output` cannot be written.
    """
    check_output(bundle, exporter, output)
    with unpacked(bundle) as folder, scratch_folder("export") as scratch:
        with named(bundle):
            before = verify_folder(folder)
            written = exporter.write(folder, scratch)
        with named(output):
            after = exporter.prove(written, folder)
        place(written, output)
    return Exported(output, exporter.kind, after or before)


def check_output(bundle: Path, exporter: Exporter, output: Path) -> None:
    """Refuse an output that would harm something.

    Raises:
        UsageError: `output` holds something that is not replaced, or is the bundle or around it.
    """
    here, there = bundle.resolve(), output.resolve()
    if there == here or here in there.parents or there in here.parents:
        raise UsageError(f"{output} is the bundle itself or around it; name another --output")
    exporter.check_output(output)


def check_folder(output: Path) -> None:
    """Refuse a folder that holds something else than a bundle.

    Raises:
        UsageError: it does.
    """
    if what := obstacle(output):
        text = f"{output} exists and is no bundle to replace: it {what}"
        raise UsageError(f"{text}; name another --output")


def place(fresh: Path, output: Path) -> None:
    """Give what was written its name, in place of what has it.

    Raises:
        MachineError: it cannot be written there.
    """
    if fresh.is_dir():
        with writing(output, OTHER_OUTPUT):
            if (fresh / SUMS).is_file():
                deliver(fresh, output)
            else:
                replace_folder(fresh, output)
    else:
        write_bytes(output, fresh.read_bytes())
