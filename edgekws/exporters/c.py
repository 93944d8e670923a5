"""A folder of C99 that needs no library: front end, network and detector."""

from pathlib import Path
from typing import Any, Literal

import onnx

from edgekws.about import version
from edgekws.bundle.declared import read_contract, read_json
from edgekws.bundle.pack import identity
from edgekws.codegen import (
    detector,
    front_ends,
    ir,
    memory_plan,
    network,
    proof,
    reading,
    spotter,
)
from edgekws.core.contract import Contract
from edgekws.core.fields import Fields
from edgekws.core.verified import Verified
from edgekws.errors import ParityError, UnsupportedError, UsageError
from edgekws.exporters import _c_folder, _c_proof
from edgekws.runtime.c import DETECTOR, SPOTTER, kernel_paths


class Exporter(Fields):
    """C99 without heap and libraries, whose network computes the bits that onnxruntime does.

    One state struct, a header, `main.c`, a `Makefile` with a test. The same bundle gives the same
    bytes.
    """

    kind: Literal["c"] = "c"

    def check_output(self, output: Path) -> None:
        """Refuse a folder that holds something else than such an export.

        Raises:
            UsageError: it does.
        """
        if what := _c_folder.obstacle(output):
            raise UsageError(f"{output} {what}; name another --output")

    def write(self, folder: Path, scratch: Path) -> Path:
        """Write the sources, the golden clips and a README.

        Raises:
            UsageError: the bundle has no ONNX models, or no settings for detection.
            UnsupportedError: a layer or a setting has no form in C; the message names it.
            ParityError: a rounding in C differs from that of onnxruntime.
        """
        target = scratch / "c"
        (target / "golden").mkdir(parents=True)
        contract, manifest = read_contract(folder), read_json(folder / "manifest.json")
        origin = _c_folder.origin(identity(folder))
        read = reading.read(onnx.load(_model(folder)))
        memory = memory_plan.plan(read)
        source = network.write_network(read, memory, origin)
        texts = _texts(contract, manifest, read, origin)
        texts |= {"kws_network.h": source.header, "kws_network.c": source.source}
        texts["README.md"] = _c_folder.readme(contract, read, memory, _proven(read))
        for name, text in texts.items():
            (target / name).write_text(text, encoding="utf-8")
        of_both = (front_ends.kernels(contract, integer=integer) for integer in (False, True))
        kernels = (*SPOTTER, *(name for names in of_both for name in names))
        kernels += (*DETECTOR, *source.files)
        for path in kernel_paths(tuple(dict.fromkeys(kernels))):
            _c_folder.copy_source(path, target)
        _c_folder.copy_golden(folder, target, contract)
        return target

    def prove(self, written: Path, folder: Path) -> Verified:
        """Compile the sources and compare the logits of the golden clips with onnxruntime's.

        Where there is no compiler, a note of the result says so.

        Raises:
            ParityError: a bit differs from the logits of the same features, or a label from that
                of the bundle.
        """
        return _c_proof.prove(written, folder)


def _model(folder: Path) -> Path:
    """Return the network that a device runs on a stream."""
    streaming, windowed = folder / "stream.onnx", folder / "model.onnx"
    if not windowed.is_file():
        raise UsageError(
            "the bundle holds model.ort, not model.onnx; export the bundle that it was converted "
            "from"
        )
    return streaming if streaming.is_file() else windowed


def _texts(
    contract: Contract, manifest: dict[str, Any], read: ir.Network, origin: str
) -> dict[str, str]:
    """Return the generated files but for the network, by name."""
    if "detection" not in manifest:
        raise UsageError("the bundle has no settings for detection; pack it again")
    try:
        settings = detector.detector_settings(manifest)
        parts = {
            **front_ends.files_of_both(contract, read),
            "kws_detector.h": detector.detector_header(settings),
            "kws_detector.c": detector.detector_source(settings),
        }
    except ValueError as error:
        raise UnsupportedError(f"the bundle has no form in C: {error}") from error
    detection = manifest["detection"].items()
    shown = {name: _shown(value) for name, value in detection if name != "calibration"}
    return {
        **{name: f"{origin}\n{text}" for name, text in parts.items()},
        "kws.h": spotter.spotter_header(origin, version(), read, contract.labels, shown),
        "kws_labels.c": spotter.labels_source(origin, contract.labels, settings.columns),
    }


def _shown(value: object) -> str:
    """Return a setting for a comment."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:g}" for name, number in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _proven(read: ir.Network) -> proof.Proof:
    result = proof.prove(read)
    if result.different:
        raise ParityError(
            f"{result.different} of {result.accumulators} accumulators and {result.pairs} pairs of "
            "bytes would be rounded otherwise in C; please report it"
        )
    return result
