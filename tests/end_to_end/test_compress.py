"""From a recipe to a bundle: the whole chain, again, changed, killed, and told to fail."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

from edgekws.bundle.verify import verify
from edgekws.core.report import Report
from edgekws.metrics import graph
from tests.end_to_end.conftest import TINY, Run, command, environment
from tests.warm import Program


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def no_torch(folder: Path) -> str:
    """Return a PYTHONPATH on which importing torch is an error."""
    (folder / "torch").mkdir(parents=True, exist_ok=True)
    (folder / "torch" / "__init__.py").write_text("raise ImportError('torch was imported')\n")
    return f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"


def test_what_a_run_leaves(compressed: Path) -> None:
    run = compressed / "runs" / "проба" / "latest"
    names = {path.name for path in run.iterdir()}
    assert names == {
        "recipe.lock.toml", "clips.csv", "events.jsonl", "report.json", "report.html", "baseline",
        "01-teacher", "02-distill", "03-to2d", "04-quantize", "05-simplify",
    }  # fmt: skip
    report = Report.load(run / "report.json")
    assert report.ok
    assert [r.name for r in report.results] == [
        "teacher", "distill", "to2d", "quantize", "simplify", "bundle",
    ]  # fmt: skip
    for result in report.results:
        for metric in ("params", "macs", "size_kib", "int8_coverage", "accuracy", "macro_recall"):
            assert result.value(metric) is not None, (result.name, metric)
        assert result.value("latency_p90_us")
    plain = [r.name for r in report.results if "naive_max_abs_diff" in r.parity]
    assert plain == ["distill", "to2d"]  # of the teacher it would be compared with nothing
    bundle = report.results[-1]
    assert bundle.value("front_end_macs")
    assert bundle.value("int8_coverage") == 1
    assert bundle.parity["golden_max_abs_diff"] == 0


def test_the_bundle_is_int8_and_whole(compressed: Path) -> None:
    bundle = compressed / "dist" / "проба"
    assert verify(bundle).max_abs_diff == 0
    model = onnx.load(bundle / "model.onnx")
    assert graph.float_weights(model) == ()
    assert graph.int8_coverage(model) == 1
    names = {path.relative_to(bundle).as_posix() for path in bundle.iterdir()}
    assert names >= {
        "model.onnx", "frontend.onnx", "labels.txt", "manifest.json", "SHA256SUMS",
        "MODEL_CARD.md", "detect.py", "golden",
    }  # fmt: skip
    origin = json.loads((bundle / "manifest.json").read_text("utf-8"))["origin"]
    assert len(origin["calibration_clips"]) == 32


def test_the_control_is_the_student_as_it_was_trained(compressed: Path) -> None:
    run = compressed / "runs" / "проба" / "latest"
    naive = onnx.load(run / "baseline" / "naive_fp32.onnx")
    weights = {i.name: len(i.dims) for i in naive.graph.initializer}
    ranks = [weights[n.input[1]] for n in naive.graph.node if n.op_type == "Conv"]
    assert ranks
    assert set(ranks) == {4}  # in 3-D: the exact to2d behind it trained nothing
    report = Report.load(run / "report.json")
    control, *faster = report.references
    assert control.details["form"] == "distill: FP32, plain export"
    assert control.value("params") == report.results[1].value("params")
    assert control.value("latency_ratio") in (1, None)
    assert len(faster) <= 1
    for result in report.results:
        if result.details["latency"]["level"]:
            assert result.value("latency_ratio"), result.name
    (note,) = [note for note in report.notes if note.startswith("INT8 buys")]
    assert "that of the plain FP32 export of distill" in note
    assert f"- {note}\n" in (compressed / "dist" / "проба" / "MODEL_CARD.md").read_text("utf-8")


def test_again_everything_comes_from_the_cache_without_torch(
    compressed: Path, edgekws: Run, tmp_path: Path
) -> None:
    done = edgekws("compress", "run.toml", "--json", PYTHONPATH=no_torch(tmp_path))
    assert done.returncode == 0, done.stderr
    measured = [e for e in lines(done.stdout) if e["event"] == "measured"]
    assert len(measured) == 6
    assert all(e["data"]["cached"] for e in measured)


def test_a_changed_budget_is_judged_again_without_torch(
    compressed: Path, edgekws: Run, tmp_path: Path
) -> None:
    done = edgekws(
        "compress", "run.toml", "--set", "budget.max_params=10", PYTHONPATH=no_torch(tmp_path)
    )
    assert done.returncode == 3, done.stderr
    assert "max_params = 10" in done.stderr


def test_a_changed_budget_that_holds_leaves_the_bundle_as_it_is(
    compressed: Path, edgekws: Run, tmp_path: Path
) -> None:
    bundle = compressed / "dist" / "проба"
    before = verify(bundle).sha256
    done = edgekws(
        "compress", "run.toml", "--set", "budget.max_params=9000", PYTHONPATH=no_torch(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    assert verify(bundle).sha256 == before


def test_a_bundle_that_breaks_the_budget_on_test_does_not_replace_a_good_one(
    compressed: Path, edgekws: Run
) -> None:
    sums = compressed / "dist" / "проба" / "SHA256SUMS"
    before = sums.stat().st_mtime_ns
    done = edgekws("compress", "run.toml", "--set", "budget.max_front_end_latency_p50_us=0.001")
    assert done.returncode == 3, done.stderr
    assert "was not put into" in done.stderr
    assert sums.stat().st_mtime_ns == before


def test_a_damaged_cache_is_noticed_and_mended(compressed: Path, edgekws: Run) -> None:
    report = Report.load(compressed / "runs" / "проба" / "latest" / "report.json")
    final = next(r.sha256 for r in report.results if r.name == "simplify")
    results = list((compressed / "cache" / "steps").glob("*/result.json"))
    (folder,) = (p.parent for p in results if json.loads(p.read_text())["sha256"] == final)
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"junk")
    done = edgekws("compress", "run.toml")
    assert done.returncode == 0, done.stderr
    assert (
        f"{folder.name}: model.onnx was changed in the cache; it is removed and rebuilt"
        in " ".join(done.stderr.split())
    )
    again = Report.load(compressed / "runs" / "проба" / "latest" / "report.json")
    assert [r.sha256 for r in again.results] == [r.sha256 for r in report.results]


def test_a_run_that_fails_says_so_in_its_folder(compressed: Path, edgekws: Run) -> None:
    for word in ("да", "нет"):
        (compressed / "broken" / word).mkdir(parents=True)
        (compressed / "broken" / word / "a.wav").write_bytes(b"no audio")
    done = edgekws(
        "compress", "run.toml", "--runs", "failed",
        "--set", 'dataset={kind="folder", root="broken"}',
    )  # fmt: skip
    assert done.returncode == 5, done.stderr
    (folder,) = (compressed / "failed" / "проба").iterdir()
    assert folder.name.endswith(".incomplete")
    report = Report.load(folder / "report.json")
    assert not report.ok
    assert "the run ended in an error: keyword 'да' has no clips in dev" in report.notes[0]
    assert "error" in (folder / "events.jsonl").read_text("utf-8")
    assert edgekws("report", folder).returncode == 0


def test_two_runs_at_once_share_the_work(compressed: Path, program: Program) -> None:
    steps = TINY.split("\n[[steps]]\n")
    short = "\n[[steps]]\n".join([*steps[:2], *steps[-2:]])  # teacher, quantize, simplify
    (compressed / "short.toml").write_text(short, encoding="utf-8")
    change = ("--set", "steps.teacher.training.epochs=1", "--runs", "r4", "--dist", "d4")
    both = [
        subprocess.Popen(
            [program.executable, "compress", "short.toml", *change],
            cwd=compressed, env=environment(compressed / "cache"), stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    told = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert verify(compressed / "d4" / "проба").max_abs_diff == 0
    assert (compressed / "r4" / "проба" / "latest" / "report.json").is_file()
    alone = ("compress", "short.toml", *change[:2], "--runs", "r5", "--dist", "d5")
    built = shutil.ignore_patterns("steps", "measurements", "latency")  # what is left is the data
    own = shutil.copytree(compressed / "cache", compressed / "another cache", ignore=built)
    assert program.run(*alone, cwd=compressed, env=environment(own)).returncode == 0
    for file in ("model.onnx", "frontend.onnx", "golden/golden.json"):
        one, other = (compressed / dist / "проба" / file for dist in ("d4", "d5"))
        assert one.read_bytes() == other.read_bytes(), file


def test_a_broken_budget_ends_before_the_test_split_unless_told_to_go_on(
    compressed: Path, edgekws: Run
) -> None:
    arguments = ("compress", "run.toml", "--set", "budget.max_params=10", "--runs", "r", "--dist")
    assert edgekws(*arguments, "d1").returncode == 3
    assert not (compressed / "d1" / "проба").exists()
    assert not (compressed / "r").exists()  # it is counted, and was known before
    assert edgekws(*arguments, "d2", "--keep-going").returncode == 3
    assert verify(compressed / "d2" / "проба").max_abs_diff == 0


def test_a_step_of_its_own_budget_ends_the_run_there(compressed: Path, edgekws: Run) -> None:
    done = edgekws(
        "compress", "run.toml", "--runs", "r2",
        "--set", "steps.distill.budget.max_latency_p50_us=0.001",
    )  # fmt: skip
    assert done.returncode == 3
    report = Report.load(compressed / "r2" / "проба" / "latest" / "report.json")
    assert [r.name for r in report.results] == ["teacher", "distill"]


def test_killed_in_distillation_it_goes_on_and_ends_with_the_same_bytes(
    compressed: Path, program: Program, tmp_path: Path
) -> None:
    (tmp_path / "run.toml").write_text(TINY, encoding="utf-8")
    cache = tmp_path / "cache"
    shutil.copytree(compressed / "cache", cache)
    for folder in (cache / "steps").iterdir():
        if folder.is_dir() and not (folder / "checkpoint.safetensors").exists():
            shutil.rmtree(folder)
    teacher = json.loads((compressed / "runs/проба/latest/report.json").read_text("utf-8"))[
        "results"
    ][0]["sha256"]
    for folder in (cache / "steps").iterdir():
        if (
            folder.is_dir()
            and json.loads((folder / "result.json").read_text())["sha256"] != teacher
        ):
            shutil.rmtree(folder)
    first = subprocess.Popen(
        command("compress", "run.toml"), cwd=tmp_path, env=environment(cache),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _wait_for(lambda: any(p.stat().st_size for p in cache.glob("steps/*.partial/*.safetensors")))
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not (tmp_path / "dist" / "проба").exists()
    done = program.run("compress", "run.toml", cwd=tmp_path, env=environment(cache))
    assert done.returncode == 0, done.stderr
    final = "dist/проба/model.onnx"
    assert (tmp_path / final).read_bytes() == (compressed / final).read_bytes()


def _wait_for(happened: Callable[[], object], limit_s: float = 120) -> None:
    end = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


def _hear_interrupts() -> None:
    """Undo what a test run in the background hands down: that interrupts are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_says_how_to_go_on(home: Path, tmp_path: Path) -> None:
    started = subprocess.Popen(
        command("compress", "run.toml", "--set", "seed=5"), cwd=home,
        env=environment(tmp_path / "cache"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, preexec_fn=_hear_interrupts,
    )  # fmt: skip
    _wait_for(lambda: (tmp_path / "cache").exists())
    started.send_signal(signal.SIGINT)
    _, told = started.communicate(timeout=60)
    assert started.returncode == 130, told
    assert "run the same command again" in told
    assert "Traceback" not in told


def test_export_then_simplify_then_quantize_with_onnxruntime(
    compressed: Path, edgekws: Run
) -> None:
    recipe = TINY[: TINY.index('[[steps]]\nkind = "quantize"')].replace('"проба"', '"order"') + (
        '[[steps]]\nkind = "export"\n[[steps]]\nkind = "simplify"\n'
        '[[steps]]\nkind = "quantize"\nbackend = { kind = "onnxruntime" }\n'
        "calibration_clips = 32\n"
    )
    (compressed / "order.toml").write_text(recipe, encoding="utf-8")
    done = edgekws("compress", "order.toml")
    assert done.returncode == 0, done.stderr
    report = Report.load(compressed / "runs" / "order" / "latest" / "report.json")
    assert report.results[0].cached
    assert report.results[-1].value("int8_coverage") == 1


def test_both_backends_side_by_side(compressed: Path, edgekws: Run) -> None:
    done = edgekws(
        "compress", "run.toml", "--runs", "r3", "--dist", "d3",
        "--set", 'steps.quantize.compare=[{kind="onnxruntime"}]',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = Report.load(compressed / "r3" / "проба" / "latest" / "report.json")
    tried = report.results[3].details["calibrations"]
    assert {row["backend"] for row in tried} == {"neural_compressor", "onnxruntime"}
    assert sum(row["kept"] for row in tried) == 1


def test_plan_needs_no_data(edgekws: Run, home: Path, tmp_path: Path) -> None:
    done = edgekws("plan", "run.toml", "--json", EDGEKWS_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "cache" / "synthetic").exists()
    text = edgekws("plan", "run.toml", EDGEKWS_CACHE=str(tmp_path / "cache"))
    assert text.returncode == 0
    assert "distill" in text.stdout


def test_plan_weighs_what_the_run_weighs(compressed: Path, edgekws: Run) -> None:
    planned = lines(edgekws("plan", "run.toml", "--json").stdout)
    report = Report.load(compressed / "runs" / "проба" / "latest" / "report.json")
    rows = {row["name"]: row for row in planned[-1]["rows"]}
    for result in report.results[:-1]:
        for metric in ("params", "macs"):
            assert rows[result.name][metric] == result.value(metric), (result.name, metric)


def test_plan_fails_where_the_budget_cannot_be_met(edgekws: Run) -> None:
    done = edgekws("plan", "run.toml", "--set", "budget.max_params=10")
    assert done.returncode == 3
    assert (done.stdout + done.stderr).count("max_params = 10 cannot be met") == 1


def test_check_evaluate_predict_and_report(compressed: Path, edgekws: Run) -> None:
    bundle = "dist/проба"
    done = edgekws("check", bundle, "--recipe", "run.toml")
    assert done.returncode == 0, done.stderr
    (compressed / "tight.toml").write_text("max_size_kib = 1\n")
    assert edgekws("check", bundle, "--budget", "tight.toml").returncode == 3
    done = edgekws("evaluate", bundle, "--recipe", "run.toml", "--json")
    assert done.returncode == 0, done.stderr
    done = edgekws("predict", bundle, f"{bundle}/golden", "--output", "labels.csv")
    assert done.returncode == 0, done.stderr
    golden = json.loads((compressed / bundle / "golden" / "golden.json").read_text("utf-8"))
    rows = (compressed / "labels.csv").read_text("utf-8").splitlines()
    assert rows[0] == "file,label,score"
    assert [row.split(",")[:2] for row in rows[1:]] == [[g["file"], g["label"]] for g in golden]
    said = subprocess.run(
        [sys.executable, "-I", f"{bundle}/detect.py", "--clip", f"{bundle}/golden/00.wav"],
        cwd=compressed, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(said.stdout)["label"] == golden[0]["label"]
    assert edgekws("report", "runs/проба").returncode == 0


def test_exit_codes_of_bad_input(compressed: Path, edgekws: Run, tmp_path: Path) -> None:
    done = edgekws("compress", "run.toml", "--set", "front_end.n_mel=40")
    assert done.returncode == 2
    assert "did you mean n_mels?" in done.stderr
    assert edgekws("compress", "missing.toml").returncode == 2
    done = edgekws("check", tmp_path / "none.onnx", "--budget", "run.toml")
    assert done.returncode == 5
    assert "no such model" in done.stderr
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    done = edgekws("check", tmp_path / "broken.onnx", "--budget", "run.toml")
    assert done.returncode == 5
    assert "not an ONNX model" in done.stderr
    spoiled = tmp_path / "bundle"
    shutil.copytree(compressed / "dist" / "проба", spoiled)
    (spoiled / "labels.txt").write_text("x\n")
    done = edgekws("check", spoiled, "--budget", "run.toml")
    assert done.returncode == 5
    assert "labels.txt is not the file that was packed" in done.stderr


def test_broken_parity_is_exit_code_4(compressed: Path, edgekws: Run, tmp_path: Path) -> None:
    from edgekws.bundle import pack

    spoiled = tmp_path / "bundle"
    shutil.copytree(compressed / "dist" / "проба", spoiled)
    golden = spoiled / "golden" / "golden.json"
    rows = json.loads(golden.read_text("utf-8"))
    rows[0]["logits"][0] += 1
    golden.write_text(json.dumps(rows))
    pack.seal(spoiled, "card")
    done = edgekws("check", spoiled, "--budget", "run.toml")
    assert done.returncode == 4
    assert "golden clips differ" in done.stderr


def test_a_folder_that_cannot_be_written_is_exit_code_1(compressed: Path, edgekws: Run) -> None:
    (compressed / "a file").write_text("x")
    done = edgekws("compress", "run.toml", "--runs", "a file")
    assert done.returncode == 1
    assert "name a folder with --runs" in done.stderr
    assert "Traceback" not in done.stderr
