"""No process of ours talks to the network, or writes where nobody asked it to."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKING = "mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat", "symlink"
WRITING = re.compile(rf'"(/[^"]+)".*O_CREAT|\b(?:{"|".join(MAKING)})\(.*"(/[^"]+)"')
CALLS = ",".join(("network", "open", "openat", *MAKING))

QUANTIZE = """
import numpy as np
from torch import nn
from edgekws.quantizers.neural_compressor import Quantizer
network = nn.Sequential(nn.Conv1d(8, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten())
clips = np.random.default_rng(0).standard_normal((8, 8, 16), dtype=np.float32)
Quantizer(kind="neural_compressor").quantize(network.eval(), clips, "minmax")
"""
DRAW = """
from edgekws.report.plots import history_svg
history_svg([{"epoch": 1, "loss": 1.0, "accuracy": 0.5}], 1)
"""
EVERY_ROOM = (
    "import edgekws.metrics.graph, edgekws.lowering.parity, edgekws.spotting.streams, onnxruntime"
)


class Traced:
    """A command run under strace in a home of its own: what it connected to, what it wrote."""

    def __init__(self, folder: Path, command: list[str], **environment: str) -> None:
        home, self.log = folder / "home", folder / "strace"
        home.mkdir()
        (folder / "tmp").mkdir()
        # onnxruntime sends nothing where it sees that it runs in CI, which would prove nothing
        left_out = ("ORT_DISABLE_TELEMETRY", "CI", "GITHUB_ACTIONS", "TF_BUILD")
        given = {k: v for k, v in os.environ.items() if k not in left_out} | {
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "EDGEKWS_CACHE": str(folder / "edgekws"),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        trace = [
            "strace",
            "-f",
            "--seccomp-bpf",
            "-qq",
            "-o",
            str(self.log),
            "-e",
            f"trace={CALLS}",
        ]
        done = subprocess.run(
            [*trace, *command],
            env=given | environment,
            cwd=folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        self.text = self.log.read_text(errors="replace")
        self.home = sorted(p.relative_to(home).as_posix() for p in home.rglob("*"))
        self.folder = folder

    def sockets(self) -> list[str]:
        """Return the system calls that name an address in a network."""
        calls = [line for line in self.text.splitlines() if re.search(r"AF_INET6?\b", line)]
        return [call for call in calls if re.search(r"connect|send", call)]

    def written(self) -> list[str]:
        """Return what was made outside of the folder, but for devices and shared memory."""
        lines = [line for line in self.text.splitlines() if " = -1 " not in line]
        paths = {a or b for line in lines for a, b in WRITING.findall(line)}
        known = (str(self.folder), "/dev/", "/proc/", "/var/cache/fontconfig/")
        return sorted(path for path in paths if not path.startswith(known))


@pytest.fixture(scope="module", autouse=True)
def strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody trace a process")


def programs(bundle: Path, folder: Path) -> dict[str, list[str]]:
    clip = next(iter(sorted((bundle / "golden").glob("*.wav"))))
    spec = folder / "spec.json"
    spec.write_text(
        f'{{"models": {{"a": ["{bundle}/model.onnx"]}}, "control": "a", "seconds": 0.1}}'
    )
    runtime = str(ROOT / "edgekws" / "runtime" / "latency.py")
    return {
        "detect": ["-I", str(bundle / "detect.py"), "--clip", str(clip)],
        "latency": ["-I", runtime, "--spec", str(spec)],
        "verify": ["-m", "edgekws", "verify", str(bundle)],
        "doctor": ["-m", "edgekws", "doctor"],
        "rooms": ["-c", EVERY_ROOM],
        "quantize": ["-c", QUANTIZE],
        "draw": ["-c", DRAW],
    }


@pytest.mark.parametrize(
    "name", ["detect", "latency", "verify", "doctor", "rooms", "quantize", "draw"]
)
def test_nothing_is_sent_and_nothing_written_elsewhere(
    packed: Path, tmp_path: Path, name: str
) -> None:
    traced = Traced(tmp_path, [sys.executable, *programs(packed, tmp_path)[name]])
    assert traced.sockets() == []
    assert traced.home in ([], ["cache", "cache/fontconfig"])
    assert traced.written() == []


@pytest.mark.parametrize("name", ["detect", "rooms"])
def test_who_wants_telemetry_of_onnxruntime_has_it(packed: Path, tmp_path: Path, name: str) -> None:
    command = [sys.executable, *programs(packed, tmp_path)[name]]
    traced = Traced(tmp_path, command, ORT_DISABLE_TELEMETRY="0")
    assert any("onnxruntime" in path for path in traced.home)
