"""How the process of a command ends, and what it does without one of its streams."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper, numpy_helper

EDGEKWS = [sys.executable, "-m", "edgekws"]
SLOW = """
import signal, sys, time
import edgekws.recipe.load
from edgekws.cli import main
def load(path, overrides):
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        time.sleep(0.3)
        print("cleared up", flush=True)
edgekws.recipe.load.load = load
sys.argv = ["edgekws", "plan", "quickstart"]
main()
"""
AGAIN = "interrupted; run the same command again to resume\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_after_clearing_up(number: signal.Signals) -> None:
    command = [sys.executable, "-c", SLOW]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        if number is not signal.SIGINT:  # a terminal that closes sends several
            time.sleep(0.1)
            process.send_signal(signal.SIGHUP)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "cleared up\n", AGAIN)


SWALLOWED = """
import edgekws.recipe.load
from edgekws.cli import main
from edgekws.errors import UnsupportedError
def load(path, overrides):
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        raise {error}
edgekws.recipe.load.load = load
sys.argv = ["edgekws", "plan", "quickstart"]
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("error", ["UnsupportedError('no operator')", "AttributeError('exc')"])
def test_what_a_library_makes_of_an_interruption_is_not_told_as_an_error(
    number: signal.Signals, error: str
) -> None:
    command = [sys.executable, "-c", "import sys, time" + SWALLOWED.format(error=error)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, AGAIN)


DROPPED = """
import signal, sys, time
import edgekws.recipe.load
from edgekws.cli import main
class Slow:
    def __del__(self):
        print("ready", flush=True)
        time.sleep(60)
def load(path, overrides):
    slow = Slow()
    del slow
    time.sleep(60)
edgekws.recipe.load.load = load
sys.argv = ["edgekws", "plan", "quickstart"]
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_within_a_finalizer_is_not_lost(number: signal.Signals) -> None:
    command = [sys.executable, "-c", DROPPED]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, AGAIN)


IN_A_TEXT = """
import runpy, sys
import edgekws.recipe.load
def load(path, overrides):
    exec("raise KeyboardInterrupt")
edgekws.recipe.load.load = load
sys.argv = ["edgekws", "plan", "quickstart"]
runpy.run_module("edgekws", run_name="__main__")
"""


def test_an_interruption_within_a_text_that_python_evaluates_ends_with_the_same_code(
    tmp_path: Path,
) -> None:
    (tmp_path / "in_a_text.py").write_text(IN_A_TEXT)
    command = [sys.executable, "-m", "in_a_text"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (130, AGAIN)


def test_a_command_under_nohup_goes_on() -> None:
    command = ["nohup", sys.executable, "-c", SLOW]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert process.poll() is None
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 130


def test_a_terminal_that_closes_ends_the_command_in_good_order() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", SLOW],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # takes the terminal
    ) as process:
        os.close(theirs)
        assert os.read(ours, 100).startswith(b"ready")
        os.close(ours)
        assert process.wait(30) == 130


def test_ctrl_c_while_the_command_line_is_loaded_leaves_no_traceback() -> None:
    program = """
import sys
class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == "edgekws.cli.app":
            raise KeyboardInterrupt
from edgekws.cli import main
sys.meta_path.insert(0, Interrupt())
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_bug(tmp_path: Path, closed: str) -> None:
    command = f'"$@" init --keywords yes,no --output recipe.toml {closed}'
    done = subprocess.run(["sh", "-c", command, "sh", *EDGEKWS], cwd=tmp_path, capture_output=True)
    assert (done.returncode, done.stderr.count(b"Traceback")) == (0, 0)
    assert (tmp_path / "recipe.toml").read_text(encoding="utf-8").startswith("#")


def test_audio_from_a_closed_stdin_is_an_error(tone_bundle: Path) -> None:
    command = '"$@" <&-'
    ours = subprocess.run(
        ["sh", "-c", command, "sh", *EDGEKWS, "detect", str(tone_bundle), "-"],
        capture_output=True,
        text=True,
    )
    theirs = subprocess.run(
        ["sh", "-c", command, "sh", sys.executable, tone_bundle / "detect.py", "--stream", "-"],
        capture_output=True,
        text=True,
    )
    for done in (ours, theirs):
        assert done.returncode == 5
        assert "standard input is closed; pipe raw PCM into it" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("form", ["--json |", "2>&1 |"])
def test_a_table_is_whole_though_nobody_reads_the_progress(
    bundle: Path, tmp_path: Path, form: str
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for n in range(200):
        soundfile.write(clips / f"{n}.wav", np.zeros(1_600), 16_000)
    (clips / "broken.wav").write_bytes(b"RIFF")
    command = f'"$@" --output labels.csv {form} (exec <&-; sleep 0.1)'
    arguments = [*EDGEKWS, "predict", str(bundle), str(clips)]
    done = subprocess.run(
        ["sh", "-c", command, "sh", *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    assert len((tmp_path / "labels.csv").read_text(encoding="utf-8").splitlines()) == 201
    assert not (tmp_path / ".labels.csv.part").exists()


def test_signs_that_an_encoding_lacks_appear_as_ascii() -> None:
    code = (
        "import sys; from edgekws.cli.process import encode_plainly; encode_plainly(sys.stdout); "
        "print('1.5 … 2 µs, ≤ 3 × да, b\\udcff')"
    )
    for encoding, expected in (
        ("ascii", b"1.5 ... 2 us, <= 3 x ??, b?\n"),
        ("latin-1", b"1.5 ... 2 \xb5s, <= 3 \xd7 ??, b?\n"),
        ("utf-8", "1.5 … 2 µs, ≤ 3 × да, b?\n".encode()),
    ):
        own = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=own)
        assert (done.stdout, done.stderr) == (expected, b"")


@pytest.mark.parametrize("form", [("--format", "github"), ("--json",), ()])
def test_check_without_a_reader_ends_as_with_one(form: tuple[str, ...], tmp_path: Path) -> None:
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 4]) for n in "xy"]
    weight = numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"])]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [weight])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        tmp_path / "m.onnx",
    )
    (tmp_path / "budget.toml").write_text("max_size_kib = 0.001\n", encoding="utf-8")
    told: list[str | Path] = [tmp_path / "m.onnx", "--budget", tmp_path / "budget.toml", *form]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*EDGEKWS, "check", *told], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert done.returncode == 3, done.stderr
    assert "Broken pipe" not in done.stderr
