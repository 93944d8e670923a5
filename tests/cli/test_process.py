"""How the process of a command ends, and what it does without one of its streams."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

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
AGAIN = "interrupted; run the same command again to go on from what is done\n"


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
