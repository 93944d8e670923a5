"""Measuring on another machine: a real sshd on the loopback interface."""

import ast
import json
import os
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgekws.errors import MachineError, MissingPartError
from edgekws.runtime import latency
from edgekws.targets import _ssh_agent, ssh
from edgekws.targets._ssh_connection import Answer
from edgekws.targets.ssh import Target
from tests.loopback_sshd import Loopback, free_port, key, sshd

STRANGE = "$(touch pwned) 'модель' \"x\" \n; -o.onnx"


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from onnx import TensorProto, helper, numpy_helper, save

    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "w"], ["logits"])],
        "g",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 40, 97])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((97, 6), np.float32), "w")],
    )
    path = tmp_path_factory.mktemp("models") / STRANGE
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def target_at(loopback: Loopback, **fields: Any) -> Target:
    quick = {"python": sys.executable, "seconds": 0.05, "processes": 2, "warmup": 1}
    return Target.model_validate(loopback.fields | quick | fields)


def stays_clean(loopback: Loopback) -> bool:
    for _ in range(50):
        if not list(loopback.temp.iterdir()):
            return True
        time.sleep(0.1)
    return False


def wrapper(path: Path, lines: str) -> str:
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return str(path)


def test_the_fingerprint_is_that_of_the_other_machine(loopback: Loopback) -> None:
    target = target_at(loopback, threads=2)
    fingerprint = target.fingerprint()
    logins = loopback.logins()
    assert fingerprint == target.fingerprint() | latency.fingerprint(2)
    assert loopback.logins() == logins > 0, "asked once a process"
    assert set(fingerprint["target"]) == set(Target.model_fields)
    assert json.loads(json.dumps(fingerprint)) == fingerprint


def test_measures_there_and_cleans_up(loopback: Loopback, model: Path) -> None:
    target = target_at(loopback, affinity=(0,))
    run = target.measure({STRANGE: model, "b": model}, STRANGE)
    assert set(run.models) == {STRANGE, "b"}
    assert run.control == STRANGE
    assert run.models["b"].p50_us > 0
    assert run.fingerprint == target.fingerprint()
    assert stays_clean(loopback)
    assert not Path("pwned").exists()
    assert not (Path.home() / "pwned").exists()


def test_a_chain_is_timed_there(loopback: Loopback, model: Path, tmp_path: Path) -> None:
    run = target_at(loopback).measure({"one": model, "chain": [model]}, "one")
    assert run.models["chain"].p50_us > 0
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(MachineError, match=r"/broken\.onnx: onnxruntime can"):
        target_at(loopback).measure({"a": model, "b": (model, tmp_path / "broken.onnx")}, "a")


def test_a_login_shell_may_print(loopback: Loopback, tmp_path: Path) -> None:
    noisy = wrapper(tmp_path / "noisy", f'echo "Welcome"; exec {sys.executable} "$@"')
    assert target_at(loopback, python=noisy).fingerprint()["machine"]


def test_a_broken_model_is_named_as_it_is_here(loopback: Loopback, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(MachineError, match=r"measured on .*@127.*/broken\.onnx: onnxruntime can"):
        target_at(loopback).measure({"a": broken}, "a")
    with pytest.raises(MachineError, match=r"missing\.onnx: No such file"):
        target_at(loopback).measure({"a": tmp_path / "missing.onnx"}, "a")
    assert stays_clean(loopback)


def test_a_machine_that_cannot_be_reached(loopback: Loopback, tmp_path: Path) -> None:
    with pytest.raises(MissingPartError, match=r"nothing listens there; start sshd") as caught:
        target_at(loopback, port=free_port()).fingerprint()
    assert caught.value.exit_code == 6
    key(tmp_path / "stranger")
    with pytest.raises(MissingPartError, match="accepts none of the keys offered; add the public"):
        target_at(loopback, identity_file=tmp_path / "stranger").fingerprint()
    (tmp_path / "empty").touch()
    with pytest.raises(MissingPartError, match="host key is not known here; connect once by hand"):
        target_at(loopback, known_hosts=tmp_path / "empty").fingerprint()
    other = key(tmp_path / "other")
    (tmp_path / "changed").write_text(f"[127.0.0.1]:{loopback.port} {other}")
    with pytest.raises(MissingPartError, match="host key is not the one in known_hosts"):
        target_at(loopback, known_hosts=tmp_path / "changed").fingerprint()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("ssh: Could not resolve hostname pi: Name or service not known", "check target.host"),
        ("ssh: connect to host pi port 22: Connection timed out", "check that it is on"),
        ("Bad configuration option", "Bad configuration option; try it by hand: ssh -p 22 pi"),
    ],
)
def test_the_words_of_ssh_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    wrapper(tmp_path / "ssh", f"echo '{words}' >&2; exit 255")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(MissingPartError, match=f"pi cannot be reached: .*{said}"):
        Target(host="pi", port=22).fingerprint()
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(MissingPartError, match=r"ssh cannot be started here .* openssh-client"):
        Target(host="pi", port=23).fingerprint()


def test_a_machine_that_lacks_something(loopback: Loopback, tmp_path: Path) -> None:
    with pytest.raises(MissingPartError, match=r"has no python-none .*set target.python"):
        target_at(loopback, python="python-none").fingerprint()
    venv.create(tmp_path / "bare", symlinks=True)
    bare = str(tmp_path / "bare/bin/python")
    with pytest.raises(MissingPartError, match="No module named 'numpy'; install what is missing"):
        target_at(loopback, python=bare).fingerprint()
    packages = next((tmp_path / "bare").glob("lib/python*/site-packages"))
    for part in Path(np.__file__).parents[1].glob("numpy*"):
        (packages / part.name).symlink_to(part)
    with pytest.raises(
        MissingPartError, match=r"'onnxruntime'; install .*-m pip install"
    ) as caught:
        target_at(loopback, python=bare).fingerprint()
    assert caught.value.exit_code == 6
    failing = wrapper(tmp_path / "failing", "echo out of order >&2; exit 3")
    with pytest.raises(MissingPartError, match=r"did not answer: out of order; check the .*--vers"):
        target_at(loopback, python=failing).fingerprint()


def test_an_old_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ast.parse(Path(_ssh_agent.__file__).read_text(), feature_version=(3, 7))
    ast.parse(Path(latency.__file__).read_text(), feature_version=_ssh_agent.OLDEST)
    assert _ssh_agent._refusal() is None
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    answer = Answer(**_ssh_agent._refusal() or {})
    monkeypatch.setattr(ssh, "ask", lambda *given: answer)
    with pytest.raises(MissingPartError, match=r"pi: Python is 3.9, but 3.10 is required; set"):
        Target(host="pi").fingerprint()


def test_a_machine_that_hangs(loopback: Loopback, tmp_path: Path) -> None:
    hanging = wrapper(tmp_path / "hanging", "exec sleep 30")
    with pytest.raises(MissingPartError, match=r"not finish within 0\.5 s; .*target\.timeout_s"):
        target_at(loopback, python=hanging, timeout_s=0.5).fingerprint()


def test_an_interrupt_leaves_nothing_there(loopback: Loopback, model: Path) -> None:
    fields = target_at(loopback, seconds=60.0).model_dump(mode="json")
    code = (
        "import pathlib, signal; from edgekws.targets.ssh import Target\n"
        # a test run in the background hands down that interrupts are ignored
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"Target.model_validate({fields!r}).measure({{'a': pathlib.Path({str(model)!r})}}, 'a')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    for _ in range(200):
        if list(loopback.temp.glob("*/model-0.onnx")):
            break
        time.sleep(0.1)
    else:
        pytest.fail("no model has arrived")
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=20)
    assert b"KeyboardInterrupt" in words
    assert stays_clean(loopback)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("host", "-oProxyCommand=touch pwned", "is not a host"),
        ("host", "user@-p", "is not a host"),
        ("host", "pi; touch pwned", "is not a host"),
        ("host", "pi\n", "is not a host"),
        ("host", "`id`@pi", "is not a host"),
        ("host", "", "is not a host"),
        ("python", "python3; touch pwned", "is not a valid command"),
        ("python", "-c", "is not a valid command"),
        ("known_hosts", 'a" b', "accepts no path with a quote"),
        ("identity_file", "a\nb", "accepts no path with a quote"),
        ("port", 0, "greater than or equal to 1"),
        ("affinity", (), "at least 1"),
        ("timeout_s", 0, "greater than 0"),
        ("cpu", 1, "not permitted"),
    ],
)
def test_fields_are_checked(key: str, value: object, said: str) -> None:
    with pytest.raises(ValidationError, match=rf"(?s){key}.*{said}"):
        Target.model_validate({"host": "pi", key: value})


@pytest.mark.parametrize("host", ["pi", "pi.local", "me@10.0.0.7", "fe80::1%eth0", "a_b-c@x"])
def test_hosts(host: str) -> None:
    target = Target(host=host, python="~/venv/bin/python3.12", identity_file=Path("~/мой ключ"))
    command = target._login().command()
    assert command[-2] == host
    assert command[-3] == "--"
    assert command[-1].startswith("~/venv/bin/python3.12 -c 'import sys;")
    assert f'IdentityFile="{Path.home()}/мой ключ"' in command
    assert "BatchMode=yes" in command
    assert not any("StrictHostKeyChecking" in word for word in command)
