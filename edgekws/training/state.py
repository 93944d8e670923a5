"""The state of a training after an epoch, on disk, from which a killed run resumes."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from edgekws.core.events import Emit, Event
from edgekws.core.job import STATES
from edgekws.errors import MachineError

NEWEST, PREVIOUS = STATES


@dataclass(frozen=True)
class State:
    """Tensors by name, and the rest as JSON, after `epoch` complete epochs."""

    epoch: int
    tensors: dict[str, Tensor]
    notes: dict[str, Any]


def write(folder: Path, identity: str, state: State) -> None:
    """Write `state` atomically and keep the previous one, in case this one cannot be read.

    `identity` identifies the training.

    Raises:
        MachineError: the folder cannot be written, or the disk is full.
    """
    text = json.dumps({"identity": identity, "epoch": state.epoch, "notes": state.notes})
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in state.tensors.items()}
    partial = folder / "training.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(save(tensors, {"training": text}))
            os.fsync(file.fileno())
        if (folder / NEWEST).exists():
            (folder / NEWEST).replace(folder / PREVIOUS)
        partial.replace(folder / NEWEST)
    except OSError as error:
        raise MachineError(
            f"{folder}: cannot write the training state ({error}); "
            "free disk space or choose another cache folder with EDGEKWS_CACHE"
        ) from error


def read(folder: Path, identity: str, emit: Emit) -> State | None:
    """Return the newest readable state of the training `identity`, or `None`.

    Emits a warning for a state that cannot be read, a note for one of another training.
    """
    for path in (folder / NEWEST, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            saved_identity, state = _read_file(path)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            emit(Event("warning", f"{path}: not a readable training state ({error}); ignored"))
            continue
        if saved_identity == identity:
            return state
        emit(Event("note", f"{path}: state of another training; ignored"))
    return None


def _read_file(path: Path) -> tuple[str, State]:
    with safe_open(path, framework="pt") as file:
        entry = json.loads((file.metadata() or {})["training"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return entry["identity"], State(int(entry["epoch"]), tensors, entry["notes"])


def nest(prefix: str, tensors: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return the tensors in `tensors` and its nested mappings, named `prefix/key/…`.

    >>> import torch
    >>> nest("a", {"b": torch.ones(1), 0: {"c": torch.zeros(1), "d": None}})
    {'a/b': tensor([1.]), 'a/0/c': tensor([0.])}
    """
    named: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if isinstance(value, Tensor):
            named[f"{prefix}/{key}"] = value
        elif isinstance(value, Mapping):
            named |= nest(f"{prefix}/{key}", value)
    return named


def under(prefix: str, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors below `prefix`, with the prefix removed from their names.

    >>> import torch
    >>> dict(under("a", {"a/b": torch.ones(1), "c/d": torch.ones(1)}))
    {'b': tensor([1.])}
    """
    for name, tensor in tensors.items():
        if name.startswith(f"{prefix}/"):
            yield name.removeprefix(f"{prefix}/"), tensor
