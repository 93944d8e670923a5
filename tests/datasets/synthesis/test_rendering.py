"""Speaking on all cores: however the command is ended, no process goes on."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
LIMIT_S = 30


@pytest.mark.parametrize("number", ENDS)
def test_nothing_goes_on_after_the_command(tmp_path: Path, number: signal.Signals) -> None:
    output = tmp_path / "spoken"
    command = [sys.executable, "-m", "edgekws", "data", "synth", "lights,music", "--json"]
    environment = os.environ | {"EDGEKWS_CACHE": str(tmp_path / "cache")}
    with (
        (tmp_path / "errors").open("w+", encoding="utf-8") as errors,
        subprocess.Popen(
            [*command, "--clips", "400", "--output", str(output)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as driver,
    ):
        assert driver.stdout is not None
        speaking = (json.loads(line)["event"] == "progress" for line in driver.stdout)
        assert any(speaking)
        started = psutil.Process(driver.pid).children(recursive=True)
        driver.send_signal(number)
        code = driver.wait(LIMIT_S)
        _, alive = psutil.wait_procs(started, timeout=LIMIT_S)
        for process in alive:
            process.kill()
        errors.seek(0)
        text = errors.read()
    assert len(started) >= 2
    assert alive == []
    assert not output.exists()
    if number is signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 130
        assert not (tmp_path / ".spoken.partial").exists()  # there is nothing to go on from
        assert text.startswith("interrupted; run the same command again")
        assert text.count("\n") == 1
