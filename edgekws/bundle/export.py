"""Export a bundle in another form, verified before and after."""

from dataclasses import dataclass
from pathlib import Path

from edgekws.bundle.archive import unpacked
from edgekws.bundle.delivery import deliver, obstacle, replace_folder
from edgekws.bundle.members import SUMS
from edgekws.bundle.verify import errors_named, verify_folder
from edgekws.core.output import OTHER_OUTPUT, write_bytes
from edgekws.core.protocols import Exporter
from edgekws.core.scratch import scratch_folder
from edgekws.core.verified import Verified
from edgekws.errors import UsageError, writing


@dataclass(frozen=True)
class Exported:
    """An exported bundle; `verified` is the verification of the written form."""

    output: Path
    form: str
    verified: Verified


def export(bundle: Path, exporter: Exporter, output: Path) -> Exported:
    """Write a bundle (a folder or a zip) to `output` in another form.

    The bundle is verified first, and the written form is checked before it gets its name. An
    `output` of the same form is replaced.

    Raises:
        UsageError: `output` has other content or is the bundle, or the bundle has no ONNX models.
        DataError: the bundle is damaged, incomplete or not safe.
        ParityError: the logits on the golden clips are not the recorded ones.
        MachineError: `output` cannot be written.
    """
    check_output(bundle, exporter, output)
    with unpacked(bundle) as folder, scratch_folder("export") as scratch:
        with errors_named(bundle):
            before = verify_folder(folder)
            written = exporter.write(folder, scratch)
        with errors_named(output):
            after = exporter.prove(written, folder)
        place(written, output)
    return Exported(output, exporter.kind, after or before)


def check_output(bundle: Path, exporter: Exporter, output: Path) -> None:
    """Reject an output that must not be overwritten.

    Raises:
        UsageError: `output` has other content, or is, contains or lies in the bundle.
    """
    source, target = bundle.resolve(), output.resolve()
    if target == source or source in target.parents or target in source.parents:
        raise UsageError(f"{output} is, or overlaps with, the bundle; name another --output")
    exporter.check_output(output)


def check_folder(output: Path) -> None:
    """Reject a folder with other content than a bundle.

    Raises:
        UsageError: the folder has other content.
    """
    if reason := obstacle(output):
        text = f"{output} exists and is not a bundle to replace: it {reason}"
        raise UsageError(f"{text}; name another --output")


def place(fresh: Path, output: Path) -> None:
    """Move the written form to `output`, replacing what is there.

    Raises:
        MachineError: `output` cannot be written.
    """
    if fresh.is_dir():
        with writing(output, OTHER_OUTPUT):
            if (fresh / SUMS).is_file():
                deliver(fresh, output)
            else:
                replace_folder(fresh, output)
    else:
        write_bytes(output, fresh.read_bytes())
