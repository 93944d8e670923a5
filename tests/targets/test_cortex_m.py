"""Microcontrollers: the C of a bundle on emulated boards, its bits and its counts."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from pydantic import ValidationError

from edgekws.audio.front_end_graph import front_end_model
from edgekws.codegen import board, board_footprint, board_program, board_proof, board_runs, reading
from edgekws.core.footprint import Footprint
from edgekws.core.measurement import FOOTPRINT_METRICS
from edgekws.errors import MissingPartError, ParityError, UnsupportedError
from edgekws.lowering import onnx_file
from edgekws.targets.cortex_m import Target
from tests.int8_bundle import pack_bundle, write_model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An INT8 network with its streaming form, a front end, and a network in FP32."""
    folder = tmp_path_factory.mktemp("cortex-m")
    write_model(folder)
    _, contract = onnx_file.load(folder / "model.onnx")
    front_end = front_end_model(contract.front_end, contract.normalization)
    onnx.save(front_end, folder / "frontend.onnx")
    ends = [helper.make_tensor_value_info(name, 1, [1, 4]) for name in ("features", "logits")]
    node = helper.make_node("Relu", ["features"], ["logits"])
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx_file.save(model, contract, folder / "float.onnx")
    return folder


def needs_toolchain() -> None:
    if board.missing():
        pytest.skip(f"{', '.join(board.missing())} not installed")


def check_counts(footprint: Footprint) -> None:
    assert 4_000 < footprint.flash_bytes < 64_000
    assert 2_000 < footprint.static_bytes < 16_000
    assert 200 < footprint.stack_bytes < 2_000
    parts = footprint.front_end_per_s + footprint.network_per_s
    assert parts < footprint.per_s < 1.1 * parts + 1e5
    assert footprint.most_per_hop >= footprint.per_s * footprint.hop_s
    assert footprint.least_clock_mhz == footprint.per_s / 1e6
    assert [m.metric for m in footprint.measurements()] == list(FOOTPRINT_METRICS)


def test_a_streaming_bundle_on_an_m4_is_proven_on_golden_clips_and_counted(
    models: Path, tmp_path: Path
) -> None:
    needs_toolchain()
    bundle = pack_bundle(models, tmp_path / "bundle", streaming=True)
    footprint = Target(cpu="cortex-m4", clock_mhz=80).footprint(bundle)
    check_counts(footprint)
    assert (footprint.clips, footprint.inferences) == (4, 4 * 49)
    assert (footprint.streaming, footprint.floats, footprint.clock_mhz) == (True, True, 80)
    assert footprint.runs_per_s == pytest.approx(50)
    assert footprint.most_per_hop < 1.2 * footprint.per_s * footprint.hop_s


def test_a_windowed_bundle_on_an_m0plus_runs_in_integers(models: Path, tmp_path: Path) -> None:
    needs_toolchain()
    bundle = pack_bundle(models, tmp_path / "bundle", streaming=False)
    footprint = Target(cpu="cortex-m0plus", optimization="s").footprint(bundle)
    check_counts(footprint)
    assert (footprint.clips, footprint.inferences) == (4, 4)
    assert (footprint.streaming, footprint.floats) == (False, False)
    assert footprint.runs_per_s == pytest.approx(10)
    assert footprint.most_per_hop > 2 * footprint.per_s * footprint.hop_s


def test_latencies_are_estimates_and_what_has_no_form_in_c_is_left_out(models: Path) -> None:
    needs_toolchain()
    front_end, network = models / "frontend.onnx", models / "model.onnx"
    files: dict[str, Any] = {
        "network": network,
        "front end": front_end,
        "audio": (front_end, network),
        "float": models / "float.onnx",
    }
    run = Target(cpu="cortex-m3").measure(files, "network")
    times = {name: model.p50_us for name, model in run.models.items()}
    assert times["audio"] == pytest.approx(times["network"] + times["front end"], rel=1e-3)
    assert run.models["network"].ratio == 1.0
    assert run.models["audio"].ratio == pytest.approx(times["audio"] / times["network"])
    assert run.models["network"].form.startswith("estimated: ")
    assert "one a cycle at 100 MHz" in run.conditions("network")[0]
    assert list(run.refused) == ["float"]
    assert run.conditions("float")[0].startswith("no form in C: ")
    assert run.measurements("float") == ()
    assert run.p50_us("float") == float("inf")
    assert run.to_dict("float")["runs"] == 0
    assert run.fingerprint["cpu"] == "cortex-m3 in integers at 100 MHz, emulated"


def test_a_loop_of_known_length_is_counted(models: Path, tmp_path: Path) -> None:
    """40 instructions a tick: two a turn, and up to two ticks around the loop."""
    needs_toolchain()
    model, contract = onnx_file.load(models / "model.onnx")
    read = reading.read(model)
    board_program.write_proof(read, contract, tmp_path / "source", integer=True)
    flags = ("-Os", *board.CPUS["cortex-m3"].flags("cortex-m3", fpu=False))
    program = board.link(tmp_path / "source", flags, tmp_path / "prove.elf")
    counted = board_runs.run_loop(program, "mps2-an385", 200_000)
    assert abs(counted - 400_000) <= 2 * board.INSTRUCTIONS_PER_TICK


def test_a_bit_that_differs_is_an_error(models: Path) -> None:
    model, _ = onnx_file.load(models / "model.onnx")
    read = reading.read(model)
    codes = np.full((1, 1, read.frames, read.n_mels), 100, np.uint8)
    logits = board_proof.expected_logits(model, read, codes).view(np.uint32)
    counts = np.zeros(1, np.int64)
    exact = board_runs.NetworkRun(counts, logits)
    assert board_proof.require_equal(exact, model, read, codes, "cortex-m4") == 1
    wrong = board_runs.NetworkRun(counts, logits ^ 1)
    with pytest.raises(ParityError, match="1 of 1 inferences have other logits on a cortex-m4"):
        board_proof.require_equal(wrong, model, read, codes, "cortex-m4")


def test_fp32_has_no_footprint(models: Path, tmp_path: Path) -> None:
    needs_toolchain()
    bundle = pack_bundle(models, tmp_path / "bundle", streaming=False)
    (bundle / "model.onnx").write_bytes((models / "float.onnx").read_bytes())
    with pytest.raises(UnsupportedError, match="features of this model are not quantized"):
        Target().footprint(bundle)


def test_without_the_toolchain_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(board, "QEMU", "no-such-emulator")
    with pytest.raises(MissingPartError, match=r"no-such-emulator here; .*apt install gcc-arm-no"):
        Target().fingerprint()


def test_the_fpu_is_that_of_the_cpu() -> None:
    floats = {cpu: Target(cpu=cpu).floats for cpu in board.CPUS}  # type: ignore[arg-type]
    assert floats == {
        "cortex-m0plus": False,
        "cortex-m3": False,
        "cortex-m4": True,
        "cortex-m7": True,
    }
    assert not Target(cpu="cortex-m4", fpu=False).floats
    with pytest.raises(ValidationError, match="a cortex-m0plus has no FPU"):
        Target(cpu="cortex-m0plus", fpu=True)


def test_averages_leave_out_the_first_window() -> None:
    blocks = np.array([1] * 98 + [10, 10] * 5 + [7], np.int64)
    hops = board_footprint._per_hop(blocks, hop_frames=2, window_frames=97, every=2)
    assert hops.tolist() == [20, 20, 20, 20]


def test_a_footprint_is_data(models: Path) -> None:
    footprint = Footprint("x", 1, True, True, 1024, 512, 512, 0.02, 10, 20, 50, 1600, 40, 7, 8, 9)
    assert {m.metric: m.value for m in footprint.measurements()} == {
        "flash_kib": 1.0,
        "ram_kib": 1.0,
        "instructions_per_s": 1600,
        "front_end_instructions_per_s": 500,
        "network_instructions_per_s": 1000,
    }
    assert Footprint(**asdict(footprint)) == footprint
