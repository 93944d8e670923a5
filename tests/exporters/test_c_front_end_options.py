"""Bundles with a running mean or PCEN as C: proven, and on a stream beside the Python runtime."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgekws.bundle.export import export
from edgekws.core.contract import Normalization
from edgekws.core.protocols import EXPORTER
from edgekws.errors import UnsupportedError
from edgekws.runtime.detect import Detector
from edgekws.runtime.front_end import FrontEnd
from tests.int8_bundle import noise, pack_bundle, write_model


@pytest.mark.parametrize(
    ("front_end", "std", "streaming"),
    [
        (FrontEnd(mean="running", mean_seconds=0.5), 2.0, True),
        (FrontEnd(compression="pcen"), 0.4, False),
    ],
    ids=["running", "pcen"],
)
def test_a_stream_has_the_events_of_the_python_runtime(
    front_end: FrontEnd, std: float, streaming: bool, tmp_path: Path
) -> None:
    for tool in ("gcc", "make"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    write_model(tmp_path, front_end, Normalization((0.0,) * 40, (std,) * 40))
    bundle = pack_bundle(tmp_path, tmp_path / "bundle", streaming)
    exported = export(bundle, EXPORTER.validate_python({"kind": "c"}), tmp_path / "c")
    assert (exported.verified.clips, exported.verified.notes) == (4, ())
    subprocess.run(["make", "-s", "CC=gcc", "CFLAGS=-O1"], cwd=exported.output, check=True)
    samples = noise(20).ravel()
    detector = Detector(bundle)
    events = [event for piece in np.split(samples, 50) for event in detector.feed(piece)]
    events += detector.flush()
    program = [str(exported.output / "kws"), "-"]
    done = subprocess.run(program, input=samples.tobytes(), capture_output=True, check=True)
    rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert [keyword for _, keyword, *_ in rows] == [event.keyword for event in events]
    # A feature at the border between two codes may be rounded to the other one.
    numbers = [[float(number) for number in row[2:]] for row in rows]
    expected = [(event.start_s, event.end_s, event.score) for event in events]
    np.testing.assert_allclose(numbers, expected, rtol=0, atol=0.02)
    assert len(expected) > 3


def test_the_mean_of_a_window_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, FrontEnd(mean="clip"), Normalization((0.0,) * 40, (2.0,) * 40))
    bundle = pack_bundle(tmp_path, tmp_path / "bundle", streaming=False)
    with pytest.raises(UnsupportedError, match=r'mean = "clip" needs the whole window'):
        export(bundle, EXPORTER.validate_python({"kind": "c"}), tmp_path / "c")
