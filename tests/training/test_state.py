from pathlib import Path

import pytest
import torch

from edgekws.core.events import Event, quiet
from edgekws.errors import MachineError
from edgekws.training.state import NEWEST, PREVIOUS, State, read, write


def state(epoch: int) -> State:
    return State(epoch, {"network/w": torch.full((2, 3), float(epoch))}, {"rows": [{"a": 0.1}]})


def test_the_newest_state_comes_back(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        write(tmp_path / "new", "me", state(epoch))
    saved = read(tmp_path / "new", "me", quiet)
    assert saved is not None
    assert (saved.epoch, saved.notes) == (3, {"rows": [{"a": 0.1}]})
    assert torch.equal(saved.tensors["network/w"], torch.full((2, 3), 3.0))
    assert {p.name for p in (tmp_path / "new").iterdir()} == {NEWEST, PREVIOUS}


def test_no_state(tmp_path: Path) -> None:
    assert read(tmp_path, "me", quiet) is None


@pytest.mark.parametrize("size", [0, 4, 100, -1])
def test_a_truncated_state_is_replaced_by_the_previous_one(tmp_path: Path, size: int) -> None:
    events: list[Event] = []
    for epoch in (1, 2):
        write(tmp_path, "me", state(epoch))
    newest = tmp_path / NEWEST
    newest.write_bytes(newest.read_bytes()[:size])
    saved = read(tmp_path, "me", events.append)
    assert saved is not None
    assert saved.epoch == 1
    (event,) = events
    assert event.kind == "warning"
    assert f"{newest}: not a readable training state" in event.text


def test_a_safetensors_file_of_something_else_is_ignored(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.ones(1)}, tmp_path / NEWEST)
    events: list[Event] = []
    assert read(tmp_path, "me", events.append) is None
    assert "not a readable training state" in events[0].text


def test_the_state_of_another_training_is_not_used(tmp_path: Path) -> None:
    events: list[Event] = []
    write(tmp_path, "me", state(1))
    assert read(tmp_path, "another", events.append) is None
    assert [e.kind for e in events] == ["note"]
    assert "state of another training; ignored" in events[0].text


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"file: cannot write the training state.*"):
        write(tmp_path / "file", "me", state(1))
