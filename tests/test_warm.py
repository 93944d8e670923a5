"""The warm command line begins as a fresh interpreter does."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.warm import Program, keep_exports

MAIN = "import tempfile, torch\nprint(torch.NAME, tempfile.gettempdir())\n"


def test_modules_and_temporary_folder_are_those_of_the_environment(
    program: Program, tmp_path: Path
) -> None:
    for name, text in {
        "edgekws/__main__": MAIN,
        "edgekws/__init__": "",
        "torch": "NAME = 7",
    }.items():
        path = tmp_path / "modules" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "modules"), "TMPDIR": str(tmp_path)}
    done = program.run(cwd=tmp_path, env=environment)
    assert (done.stdout, done.stderr) == (f"7 {tmp_path}\n", "")


def test_a_network_is_exported_again_if_anything_of_it_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    done: list[Any] = []
    monkeypatch.setattr(torch.onnx, "export", lambda network, *_, **__: done.append(network))
    keep_exports()
    network = torch.nn.Sequential(torch.nn.Conv1d(2, 2, 3, padding=1), torch.nn.BatchNorm1d(2))
    example = torch.zeros(2, 2, 5)
    torch.onnx.export(network.eval(), (example,), dynamo=True)
    torch.onnx.export(copy.deepcopy(network), (torch.zeros(2, 2, 5),), dynamo=True)
    assert len(done) == 1
    changes: tuple[Callable[[Any], object], ...] = (
        lambda other: other[0].weight.data.mul_(2),
        lambda other: other[1].running_mean.add_(1),
        lambda other: setattr(other[0], "stride", (2,)),
        lambda other: other.train(),
        lambda other: other.append(torch.nn.ReLU()),
    )
    for number, change in enumerate(changes, start=2):
        other = copy.deepcopy(network)
        change(other)
        torch.onnx.export(other, (example,), dynamo=True)
        assert len(done) == number
    torch.onnx.export(network, (torch.zeros(2, 2, 6),), dynamo=True)
    torch.onnx.export(network, (example,), dynamo=True, opset_version=18)
    torch.onnx.export(network, (example,), "to a file", dynamo=True)
    torch.onnx.export(network, (example,), "to a file", dynamo=True)
    assert len(done) == len(changes) + 5
