"""Models that a user names: an ONNX file, a bundle, or the steps of a run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from edgekws.bundle.archive import unpacked
from edgekws.bundle.members import SUMS
from edgekws.bundle.untrusted_models import logits_of_file
from edgekws.bundle.verify import errors_named, verify_folder
from edgekws.core.contract import Contract
from edgekws.core.corpus import Examples
from edgekws.engine.run_folder import LATEST
from edgekws.errors import DataError

if TYPE_CHECKING:
    import onnx

    from edgekws.audio.features import Features


def model_file(path: Path) -> Path:
    """Return the ONNX file of a model or bundle path.

    Raises:
        DataError: there is none.
    """
    file = path / "model.onnx" if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file}: no such model; give an ONNX file or the folder of a bundle")
    return file


def run_folder(path: Path) -> Path | None:
    """Return the folder of a run: `path`, or the newest run in it; `None` if there is none."""
    return next((p for p in (path, path / LATEST) if (p / "report.json").is_file()), None)


def step_models(run: Path) -> list[Path]:
    """Return the ONNX file of every step of a run, in the order of the chain."""
    return sorted(run.glob("[0-9][0-9]-*/model.onnx"))


@contextmanager
def verified(path: Path) -> Iterator[Path]:
    """Yield `path`, or the folder that it is unpacked to if it is a zipped bundle.

    A bundle is verified before its models are run; a single model is not run here.

    Raises:
        DataError, ParityError: as `bundle.verify.verify`.
    """
    zipped = path.suffix.lower() == ".zip" and path.is_file()
    if not zipped and not (path / SUMS).is_file():
        yield path
        return
    with unpacked(path) as folder:
        with errors_named(path):
            verify_folder(folder)
        yield folder


def read_model(file: Path) -> tuple["onnx.ModelProto", Contract | None]:
    """Read an ONNX file, with its contract if it has one.

    Raises:
        DataError: the file is not an ONNX model, or a file with its weights is missing.
    """
    import onnx
    from google.protobuf.message import DecodeError

    from edgekws.lowering import onnx_file

    try:
        for weights in onnx_file.external_files(file):
            if not weights.is_file():
                raise DataError(
                    f"{weights}: no such file; {file.name} stores weights there: put it next to "
                    "the model, or export the model with its weights inside"
                )
        model = onnx.load(str(file))
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "cannot be parsed"
        raise DataError(f"{file}: not an ONNX model ({reason}); export it again") from error
    texts = {p.key: p.value for p in model.metadata_props}
    try:
        return model, Contract.from_json(texts["contract"]) if "contract" in texts else None
    except ValidationError as error:
        raise DataError(f"{file}: its contract cannot be read; export it again") from error


def counting_notes(name: str, model: "onnx.ModelProto", contract: Contract | None) -> Iterator[str]:
    """Yield notes on the counts and latencies of a model that edgekws did not export.

    Raises:
        UnsupportedError: the graph cannot be run.
    """
    from edgekws.metrics.graph import fixed_batch

    if contract is None:
        yield f"{name} has no contract: MACs are counted per inference"
    if (batch := fixed_batch(model)) > 1:
        yield (
            f"{name} takes {batch} samples at once: MACs and peak memory are those of one, "
            f"latencies those of all {batch}; export it with a batch of 1"
        )


def declared_contract(file: Path, *, name: Path) -> Contract:
    """Return the contract of a model that scores clips; errors refer to it as `name`.

    Raises:
        DataError: the model does not take clips, or has no contract.
    """
    from edgekws.lowering.stream_state import stream_of

    model, contract = read_model(file)
    if stream_of(model):
        raise DataError(f"{name} takes hops of audio, not clips; name the model.onnx next to it")
    if contract is None:
        raise DataError(f"{name} has no contract: its labels and its front end are not known")
    return contract


def contract_of(file: Path, labels: Sequence[str], *, name: Path) -> Contract:
    """Return the contract of a model that scores clips as `labels`, in any order.

    Errors refer to it as `name`.

    Raises:
        DataError: the model does not take clips, has no contract, or has other labels.
    """
    contract = declared_contract(file, name=name)
    if sorted(contract.labels) != sorted(labels):
        raise DataError(
            f"{name} knows {', '.join(contract.labels)}, but the recipe's data has "
            f"{', '.join(labels)}; name the recipe that it came from"
        )
    return contract


def logits_in_order(
    file: Path, contract: Contract, labels: Sequence[str], features: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the logits `(N, n_labels)` of a model on its features, in the order of `labels`.

    Raises:
        DataError: the model cannot be run.
    """
    order = [contract.labels.index(label) for label in labels]
    return logits_of_file(file, features)[:, order]


def model_logits(file: Path, data: "Features", examples: Examples) -> NDArray[np.float32]:
    """Return the logits `(N, n_labels)` of an ONNX file on examples.

    Raises:
        DataError: its contract does not fit the data.
    """
    contract = contract_of(file, data.labels, name=file)
    if contract.front_end != data.front_end or contract.normalization != data.normalization:
        raise DataError(
            f"{file} was trained with another front end or other data than the recipe gives; "
            "evaluate it with the recipe that it came from, and with the same seed"
        )
    return logits_in_order(file, contract, data.labels, examples.features)
