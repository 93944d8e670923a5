"""The integer build of an export to C: no floating point, and the answers of the bundle."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgekws.bundle.export import export
from edgekws.codegen import arithmetic, integer_front_end, reading
from edgekws.core.protocols import EXPORTER
from edgekws.exporters import _c_proof
from edgekws.exporters.c import _model
from edgekws.runtime.detect import UNIT
from tests.codegen.compiling import WARNINGS
from tests.int8_bundle import noise, pack_bundle, write_model

WITHOUT_FPU = " ".join(("-O2", "-static", "-mgeneral-regs-only", *WARNINGS))


DRIVER = """
#include <stdio.h>
#include "kws.h"

int main(void)
{
    static kws_state state;
    static int16_t clip[KWS_WINDOW_SAMPLES];
    static uint8_t features[KWS_WINDOW_FRAMES * KWS_MEL_BANDS];
    kws_real logits[KWS_LABELS];
    kws_init(&state);
    while (fread(clip, sizeof clip, 1, stdin) == 1) {
        kws_front_end(clip, KWS_WINDOW_FRAMES, features, &state.scratch);
        kws_logits(&state, clip, logits);
        fwrite(features, sizeof features, 1, stdout);
        fwrite(logits, sizeof logits, 1, stdout);
    }
    return 0;
}
"""


@pytest.fixture(scope="module", params=[False, True], ids=["windowed", "streaming"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    return pack_bundle(folder, folder / "bundle", streaming=request.param)


def write(bundle: Path, output: Path) -> Path:
    return export(bundle, EXPORTER.validate_python({"kind": "c"}), output).output


def make(folder: Path, compiler: str, flags: str) -> subprocess.CompletedProcess[str]:
    for program in ("make", compiler):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    command = ["make", "-s", "INTEGER=1", f"CC={compiler}", f"CFLAGS={flags}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def made_without_fpu(folder: Path) -> list[str]:
    """Compile without floating-point registers; return the command that runs the program."""
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 is not installed")
    done = make(folder, "aarch64-linux-gnu-gcc", WITHOUT_FPU)
    assert done.returncode == 0, done.stderr
    return ["qemu-aarch64", "./kws"]


def output(folder: Path, command: list[str], given: bytes = b"") -> bytes:
    return subprocess.run(command, cwd=folder, input=given, capture_output=True, check=True).stdout


def test_it_needs_no_floating_point_and_has_the_labels_of_the_bundle(
    bundle: Path, tmp_path: Path
) -> None:
    folder = write(bundle, tmp_path / "c")
    program = made_without_fpu(folder)
    clips = sorted(str(path.relative_to(folder)) for path in (folder / "golden").glob("*.wav"))
    rows = output(folder, [*program, "--clip", *clips]).decode().splitlines()
    labels = [row.rsplit("\t", 1)[0] for row in rows]
    assert labels == (folder / "golden" / "expected.tsv").read_text("utf-8").splitlines()
    events = output(folder, [*program, "-"], noise(10).tobytes()).decode().splitlines()
    assert len(events) > 1
    for event in events:
        start, end, score = (int(text) for text in event.split("\t")[2:])
        assert 0 <= start <= end <= 10 * 16000
        assert 0 < score <= UNIT


def test_its_network_has_the_bits_of_onnxruntime(bundle: Path, tmp_path: Path) -> None:
    folder = write(bundle, tmp_path / "c")
    (folder / "main.c").write_text(DRIVER)
    clips = noise(40)
    rows = output(folder, made_without_fpu(folder), clips.tobytes())
    network = reading.read(onnx.load(_model(bundle)))
    n_labels = network.n_labels
    numbers = np.frombuffer(rows, np.uint8).reshape(len(clips), -1)
    codes, logits = np.split(numbers, [numbers.shape[1] - 4 * n_labels], axis=1)
    assert len(np.unique(codes)) > 100
    features = arithmetic.dequantize(codes, network.input.scale, network.input.zero)
    frames = features.reshape(len(clips), -1, network.n_mels)
    expected = [row.tobytes() for row in _c_proof._reference(bundle, frames)]
    assert [row.tobytes() for row in logits] == expected


def test_a_front_end_that_leaves_32_bits_is_refused_by_the_integer_build_alone(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integer_front_end, "LARGEST", 1)
    folder = write(bundle, tmp_path / "c")
    done = make(folder, "gcc", "-O0")
    assert done.returncode != 0
    assert "a band varies so little that its features leave 32 bits" in done.stderr
