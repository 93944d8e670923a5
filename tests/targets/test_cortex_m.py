"""Microcontrollers: the C of a bundle on emulated boards, its bits and its counts."""

import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from pydantic import ValidationError

from edgekws.audio.front_end_graph import front_end_model
from edgekws.codegen import (
    arithmetic,
    board,
    board_footprint,
    board_program,
    board_proof,
    board_runs,
    reading,
)
from edgekws.codegen.network import write_network
from edgekws.codegen.oracle import Oracle
from edgekws.core.events import quiet
from edgekws.core.footprint import Footprint
from edgekws.core.measurement import FOOTPRINT_METRICS
from edgekws.engine.plan import cannot_be_met
from edgekws.errors import MissingPartError, ParityError, RecipeError, UnsupportedError
from edgekws.evaluation.check import check
from edgekws.evaluation.footprints import BundleFootprint
from edgekws.lowering import onnx_file
from edgekws.recipe.load import load as load_recipe
from edgekws.report.results import check_result, footprint_result
from edgekws.runtime.c import BOARD, kernel_paths
from edgekws.targets.cortex_m import Target
from tests.codegen.compiling import WARNINGS
from tests.codegen.random_operators import SIZE, random_network
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


@pytest.mark.parametrize("cpu", ["cortex-m0plus", "cortex-m4"])
def test_every_kernel_equals_the_slow_arithmetic(cpu: Any, tmp_path: Path) -> None:
    """Random operators of each kind: bytes of the whole memory, and bits of the logits."""
    needs_toolchain()
    network = random_network(seed=5, n=12)
    target, oracle = Target(cpu=cpu), Oracle(network)
    source = write_network(network, oracle.plan, "")
    files = {"kws_network.h": source.header, "kws_network.c": source.source, "main.c": MAIN}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    for path in kernel_paths((*BOARD, *source.files)):
        shutil.copy(path, tmp_path)
    program = board.link(tmp_path, (*target.flags, *WARNINGS), tmp_path / "run.elf")
    clip = np.random.default_rng(0).normal(size=(network.n_mels, network.frames)) * 2
    codes = arithmetic.quantize(clip.T.astype(np.float32), network.input.scale, network.input.zero)
    output = board.run(program, target.setup.machine, codes.tobytes(), tmp_path)
    logits = oracle.run(clip.astype(np.float32)).tobytes()
    assert output[: len(logits)] == logits
    wrong = np.flatnonzero(np.frombuffer(output[len(logits) :], np.uint8) != oracle.memory)
    starts = oracle.plan.offsets.values()
    assert not any(((wrong >= start) & (wrong < start + SIZE)).any() for start in starts)


MAIN = """
#include "board.h"
#include "kws_network.h"

static uint8_t memory[KWS_NETWORK_MEMORY];

int main(void)
{
    kws_real logits[KWS_N_LABELS];
    kws_network_reset(memory);
    if (!board_read(kws_network_features(memory), (size_t)KWS_FRAMES * KWS_N_MELS))
        return 1;
    kws_network_run(memory, logits);
    board_write(logits, sizeof logits);
    board_write(memory, sizeof memory);
    return 0;
}
"""


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
    wrong = board_runs.NetworkRun(counts, logits ^ np.uint32(1))
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
    floats = {cpu: Target(cpu=cpu).floats for cpu in board.CPUS}
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


BROKEN = {"flash_kib": 4.0, "ram_kib": 2.0, "instructions_per_s": 1e5}


def test_a_recipe_with_a_microcontroller_is_held_to_flash_ram_and_instructions(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One count serves all: the footprint is cached, and a budget is in no key."""
    needs_toolchain()
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "cache"))
    bundle = pack_bundle(models, tmp_path / "bundle", streaming=True)
    counted = list[Path]()
    count = Target.footprint

    def footprint(self: Target, path: Path) -> Footprint:
        counted.append(path)
        return count(self, path)

    monkeypatch.setattr(Target, "footprint", footprint)
    for metric, limit in BROKEN.items():
        recipe = tmp_path / f"{metric}.toml"
        recipe.write_text(RECIPE.format(limit=f"max_{metric} = {limit}"))
        loaded = load_recipe(recipe)
        measured, (verdict,) = check(bundle, loaded.recipe.limits, quiet, loaded)
        value = {m.metric: m.value for m in measured}[metric]
        assert not verdict.ok
        assert verdict.margin == pytest.approx((limit - value) / limit)
        text = check_result(measured, (verdict,)).problem
        assert f"max_{metric} = " in text
        assert "−" in text
    assert len(counted) == 1


def test_a_host_cannot_be_held_to_flash(tmp_path: Path) -> None:
    recipe = tmp_path / "host.toml"
    text = RECIPE.replace('target = {{ kind = "cortex_m" }}\n', "")
    recipe.write_text(text.format(limit="max_flash_kib = 32"))
    with pytest.raises(RecipeError, match=r"4: budget\.max_flash_kib: a host has no such limit"):
        load_recipe(recipe)


RECIPE = """schema = 1
name = "small"
dataset = {{ kind = "synthetic", keywords = ["yes", "no"] }}
budget = {{ {limit} }}
target = {{ kind = "cortex_m" }}
[[steps]]
kind = "teacher"
backbone = {{ kind = "inverted_bottleneck", channels = 4, blocks = 1, head = 0 }}
[[steps]]
kind = "export"
[[steps]]
kind = "quantize"
backend = {{ kind = "onnxruntime" }}
"""


def test_a_plan_estimates_what_no_training_can_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_toolchain()
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "plan.toml"
    limits = "max_flash_kib = 8, max_ram_kib = 16, max_instructions_per_s = 1e6"
    file.write_text(RECIPE.format(limit=limits))
    flash, instructions = cannot_be_met(load_recipe(file), quiet)
    for line, limit in ((flash, "flash_kib = 8"), (instructions, "instructions_per_s = 1_000_000")):
        text = f"{file}:4: max_{limit} cannot be met: the bundle has "
        assert line.startswith(text)
        assert re.search(r" \(−\d[\d,.]+ %\)$", line)


def test_profile_shows_a_table_of_memory_and_one_of_instructions() -> None:
    footprint = Footprint(
        "cortex-m4", 100, True, True, 30_000, 8_000, 640, 0.02, 70_000, 40_000, 50, 5.6e6, 115_000,
        7, 8, 392,
    )  # fmt: skip
    shown = footprint_result((BundleFootprint("dist/x", footprint),))
    memory, instructions = shown.tables
    assert memory[2] == [["dist/x", "29.3 KiB", "8.44 KiB", "0.625 KiB", "5.60 MHz"]]
    assert instructions[2][1] == ["dist/x", "network, 20 ms hop", "40.0 k", "2.00 M", "400 µs"]
    assert instructions[2][3][1:3] == ["all, longest 20 ms hop", "115 k"]
    assert "times are estimates, one instruction a cycle at 100 MHz" in shown.lines[0]
