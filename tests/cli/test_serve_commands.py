"""The command `edgekws serve`: what it prints, refuses, and how it ends."""

import asyncio
import json
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

pytest.importorskip("wyoming", reason="wyoming is not installed: pip install '.[serve]'")

from edgekws.cli.app import app
from edgekws.serving import address
from tests.serving.conftest import answers, choose, expected, send
from tests.tone_bundle import TONES, make, track

LOW, HIGH = TONES
ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "examples" / "serve" / "Dockerfile"
REQUIREMENTS = DOCKERFILE.with_name("requirements.txt")

SLIM = """
import sys
from importlib.metadata import packages_distributions
from packaging.utils import canonicalize_name

listed = {canonicalize_name(name) for name in sys.argv[1].split()}
hidden = {m for m, names in packages_distributions().items()
          if not listed & {canonicalize_name(name) for name in names}}

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden - {"edgekws"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
from edgekws.cli import main
sys.argv[1:] = sys.argv[2:]
main()
"""
"""The command line where only the listed packages are installed."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("serve"), streaming=True)


def requirements() -> dict[str, str]:
    """Return the versions of what an image for the server installs."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    parts = [line.partition("==") for line in lines if not line.startswith("#")]
    return {name: version for name, _, version in parts}


def edgekws(*arguments: object) -> "subprocess.Popen[str]":
    return started("-m", "edgekws", "serve", *arguments)


def started(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, *map(str, arguments)]

    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def failed(*arguments: object) -> tuple[int, str]:
    process = edgekws(*arguments)
    _, err = process.communicate(timeout=60)
    return process.returncode, err.splitlines()[-1]


def test_events_over_tcp_are_those_of_the_runtime_and_sigterm_ends_it(bundle: Path) -> None:
    """It runs without the packages for training, as in the image of examples/serve."""
    from wyoming.client import AsyncTcpClient

    samples = (track(6.0, {1.0: LOW, 3.5: HIGH}) * 32767).astype(np.int16)
    slim = ("-c", SLIM, " ".join(requirements()), "serve")
    process = started(*slim, bundle, "--uri", "tcp://127.0.0.1:0", "--clients", 2, "--json")
    assert process.stdout is not None
    listening = json.loads(process.stdout.readline())
    assert listening["keywords"] == list(TONES)

    async def work() -> Any:
        port = int(listening["uri"].rpartition(":")[2])
        async with AsyncTcpClient("127.0.0.1", port, read_timeout=10) as client:
            await choose(client)
            await send(client, samples)
            return [event.data for event in await answers(client, 2)]

    detections = asyncio.run(work())
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    wanted = [(event.keyword, round(1000 * event.end_s)) for event in expected(bundle, samples)]
    assert [(event["name"], event["timestamp"]) for event in detections] == wanted
    records = [json.loads(line) for line in out.splitlines()]
    kinds = [record["event"] for record in records]
    assert kinds == ["connected", "detect", *2 * ["detection"], "disconnected", "stopped"]
    assert [(r["name"], r["timestamp"]) for r in records[2:4]] == wanted
    assert "only this machine can connect; --uri tcp://0.0.0.0:10400 opens it" in err
    assert "Traceback" not in err


def test_the_image_installs_the_versions_of_the_constraints() -> None:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert {f"{name}=={version}" for name, version in requirements().items()} <= set(constraints)
    assert not {"torch", "onnxsim", "scipy"} & set(requirements())


def test_the_image_copies_what_it_installs_and_starts_the_server() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line[:1].isupper()]
    copied = {source for step, rest in steps if step == "COPY" for source in rest.split()[:-1]}
    assert [source for source in sorted(copied) if not (ROOT / source).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {project["project"]["readme"], *project["project"]["license-files"]}
    needed |= {*wheel["packages"], *wheel["force-include"], "pyproject.toml"}
    assert needed <= copied
    assert str(REQUIREMENTS.relative_to(ROOT)) in copied
    (entry,) = (json.loads(rest) for step, rest in steps if step == "ENTRYPOINT")
    program, command, *arguments = entry
    commands: Any = get_command(app)
    serve = commands.commands[command]
    assert program == "edgekws"
    with serve.make_context(command, arguments) as context:
        assert context.params["uri"] == address.OPEN
        assert str(context.params["bundle"]) == "/bundle"
    assert ["EXPOSE", address.OPEN.rpartition(":")[2]] in steps


def test_ctrl_c_ends_it_and_lines_are_for_people(bundle: Path, tmp_path: Path) -> None:
    process = edgekws(bundle, "--uri", f"unix://{tmp_path}/w.sock", "--clients", 1)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert f"listening  on unix://{tmp_path}/w.sock for {LOW}, {HIGH}" in line
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out.endswith("  stopped\n")
    assert not (tmp_path / "w.sock").exists()


def test_systemd_prints_a_unit_and_needs_no_bundle(tmp_path: Path) -> None:
    options = ("--uri", address.OPEN, "--language", "en", "--zeroconf", "--json", "--systemd")
    out, _ = edgekws(tmp_path / "b", *options).communicate(timeout=60)
    command = f"ExecStart={sys.executable} -m edgekws serve {tmp_path}/b --uri {address.OPEN} "
    assert f"{command}--clients 16 --language en --zeroconf --json\n" in out
    assert out.startswith("# Write this to /etc/systemd/system/edgekws.service")


def test_usage_and_data_errors_have_their_codes(bundle: Path, tmp_path: Path) -> None:
    code, line = failed(bundle, "--uri", "10400")
    assert (code, "--uri 10400: expected tcp://127.0.0.1:10400" in line) == (2, True)
    code, line = failed(tmp_path / "none")
    assert (code, "no such bundle" in line) == (5, True)
    code, line = failed(bundle, "--uri", "tcp://127.0.0.1:0", "--clients", 1, "--zeroconf")
    assert (code, "announces to the network what is open to it" in line) == (2, True)
    code, line = failed(bundle, "--zeroconf", "--systemd")
    assert (code, "announces to the network what is open to it" in line) == (2, True)


def test_without_wyoming_the_install_command_is_shown(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['wyoming'] = None; from edgekws.cli import main; "
        f"sys.argv = ['edgekws', 'serve', {str(tmp_path)!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 6
    assert done.stderr.splitlines()[-1].endswith("install it with: pip install 'edgekws[serve]'")


def test_the_defaults_are_those_of_the_server() -> None:
    from edgekws.cli import serve_commands

    assert (serve_commands.LOCAL, serve_commands.OPEN) == (address.LOCAL, address.OPEN)
