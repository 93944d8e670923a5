"""evaluate, compare and predict against an engine that says what the test wants."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Ended

import edgekws.evaluation
import edgekws.recipe.load
from edgekws.cli.app import app
from edgekws.core.measurement import Measurement
from edgekws.evaluation.compare import Comparison, Entrant
from edgekws.evaluation.evaluate import Evaluation
from edgekws.evaluation.predict import Predicted
from edgekws.evaluation.verdict import Needed, Pair
from edgekws.metrics.detection_tradeoff import Tradeoff
from edgekws.metrics.differences import Difference
from edgekws.metrics.paired import McNemar

Engine = Callable[[str, Callable[..., Any]], None]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Put a function in the place of the engine's of that name."""
    loaded = SimpleNamespace(recipe=SimpleNamespace(name="проба"))
    monkeypatch.setattr(edgekws.recipe.load, "load", lambda path, overrides=(): loaded)

    def put(name: str, function: Callable[..., Any]) -> None:
        module = f"edgekws.evaluation.{name}"
        fake = ModuleType(module)
        fake.__dict__.update(sys.modules[module].__dict__)
        setattr(fake, name, function)
        monkeypatch.setitem(sys.modules, module, fake)
        monkeypatch.setattr(edgekws.evaluation, name, fake)

    return put


def run(*arguments: str) -> Ended:
    return CliRunner().invoke(app, list(arguments))


def lines(result: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def evaluated(name: str, eer: float = 0.021) -> Evaluation:
    measured = (
        Measurement("accuracy", 0.951, n=1203, ci95=(0.93, 0.968)),
        Measurement("macro_recall", 0.9, n=1203, ci95=(0.88, 0.92)),
    )
    row = {"recall": 0.9, "recall_ci95": (0.85, 0.93), "precision": None, "f1": None}
    rest = {"recall": 1.0, "recall_ci95": (0.4, 1.0), "precision": 0.024, "f1": 0.047}
    classes = [
        {"label": "نعم", "support": 1200, **row},
        {"label": "_unknown_", "support": 3, **rest},
        {"label": "_silence_", "support": 0, **dict.fromkeys(row)},
    ]
    curve = Tradeoff("نعم", eer, 1200, 3, (0.0, 0.5), (0.0, 1.0), (1.0, 0.0))
    confusion = [[1080, 120, 0], [0, 3, 0], [0, 0, 0]]
    return Evaluation(name, measured, classes, confusion, (curve,), curve)


def test_evaluate_reports_a_model_class_by_class(engine: Engine) -> None:
    seen: list[Any] = []

    def evaluate(paths: Any, loaded: Any, split: str, emit: Any) -> Any:
        seen.append((paths, split))
        return [evaluated(str(path)) for path in paths]

    engine("evaluate", evaluate)
    result = run("evaluate", "m[0].onnx", "--recipe", "r.toml")
    assert result.exit_code == 0, result.output
    assert seen == [([Path("m[0].onnx")], "dev")]
    assert "m[0].onnx" in result.stdout
    assert re.search(r"accuracy +95\.1 % \[93\.0, 96\.8\]  \(n = 1,203\)", result.stdout)
    assert re.search(r"label +precision +recall +F1 +EER +clips", result.stdout)
    row = r"نعم +– +90\.0 % \[85\.0, 93\.0\] +– +2\.1 % +1,200"
    assert re.search(row, result.stdout)
    assert re.search(r"_unknown_ +2\.4 % +100\.0 % \[40\.0, 100\.0\] +4\.7 % +– +3", result.stdout)
    assert re.search(r"_silence_ +– +– +– +– +0", result.stdout)
    assert re.search(r"most often confused *\nlabel +predicted +clips", result.stdout)
    assert re.search(r"نعم +_unknown_ +120", result.stdout)
    assert "\x1b" not in result.output


def test_evaluate_puts_models_side_by_side(engine: Engine) -> None:
    engine("evaluate", lambda *given: [evaluated("a.onnx"), evaluated("b.onnx", 0.034)])
    result = run("evaluate", "a.onnx", "b.onnx", "--recipe", "r.toml", "--split", "test")
    assert result.exit_code == 0, result.output
    assert re.search(r"metric +a\.onnx +b\.onnx", result.stdout)
    assert re.search(r"accuracy( +95\.1 % \[93\.0, 96\.8\]){2}", result.stdout)
    assert re.search(r"EER, all keywords +2\.1 % +3\.4 %", result.stdout)
    assert re.search(r"_unknown_( +2\.4  100\.0    4\.7){2}", result.stdout)
    assert re.search(
        r"EER per keyword *\nlabel +a\.onnx +b\.onnx *\nنعم +2\.1 % +3\.4 %", result.stdout
    )
    assert re.search(r"b\.onnx +نعم +_unknown_ +120", result.stdout)


def test_evaluate_as_json_has_every_figure(engine: Engine) -> None:
    engine("evaluate", lambda *given: [evaluated("a.onnx"), evaluated("b.onnx")])
    a, b = lines(run("evaluate", "a.onnx", "b.onnx", "--recipe", "r.toml", "--json"))
    assert (a["event"], a["name"], b["name"]) == ("evaluation", "a.onnx", "b.onnx")
    assert a["per_class"][0]["recall_ci95"] == [0.85, 0.93]
    assert a["confusion"][0] == [1080, 120, 0]
    assert a["detection"][0]["eer"] == 0.021


def test_evaluate_writes_what_the_suffix_says(engine: Engine, tmp_path: Path) -> None:
    asked: list[Any] = []

    def evaluate(*given: Any) -> Any:
        asked.append(given)
        return [evaluated("a.onnx")]

    engine("evaluate", evaluate)
    file = tmp_path / "e.json"
    result = run("evaluate", "a.onnx", "--recipe", "r.toml", "--output", str(file))
    assert result.exit_code == 0, result.output
    assert result.stderr == f"written: {file}\n"
    told = json.loads(file.read_text("utf-8"))
    assert (told["recipe"], told["split"]) == ("проба", "dev")
    result = run("evaluate", "a.onnx", "--recipe", "r.toml", "--output", "e.txt")
    assert result.exit_code == 2
    assert "e.txt: --output is a folder, or a file that ends in .png" in result.stderr
    assert len(asked) == 1  # refused before anything was computed


def test_data_has_to_be_named() -> None:
    result = run("compare", "a.onnx", "b.onnx")
    assert result.exit_code == 2
    assert "Missing option '--recipe'" in result.stderr
    assert re.search(r"--recipe RECIPE .*\[required\]", run("compare", "--help").stdout)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "name the data: --recipe RECIPE or --recordings DIR, one of these"),
        (["--recipe", "r.toml", "--recordings", "v"], "one of these"),
        (
            ["--recordings", "v", "--split", "test"],
            "--set and --split are for the data of a recipe",
        ),
        (
            ["--recordings", "v", "--set", "seed=1"],
            "--set and --split are for the data of a recipe",
        ),
    ],
)
def test_evaluate_takes_data_from_one_place(options: list[str], message: str) -> None:
    result = run("evaluate", "a.onnx", *options)
    assert result.exit_code == 2
    assert message in result.stderr


def compared() -> Comparison:
    def measured(value: float) -> tuple[Measurement, ...]:
        return (Measurement("accuracy", value, n=1200, ci95=(value - 0.01, value + 0.01)),)

    entrants = (
        Entrant("kd[1]", (Path("1"), Path("2")), (measured(0.95), measured(0.96))),
        Entrant("plain", (Path("3"),), (measured(0.93),)),
    )
    better = Difference(0.025, (0.012, 0.038), 0.0002, 1e-5, 1e-5, 1e-6)
    level = Difference(0.001, (-0.002, 0.004), 0.4, 1e-5, 1e-5, 0.0)
    told = ("kd[1] is better than plain by 2.5 points", "x and y show no measurable difference")
    needed = Needed(0.001, 5000, 12, None)
    pairs = (
        Pair(
            a="kd[1]",
            b="plain",
            accuracy=better,
            macro_recall=level,
            mcnemar=None,
            p=0.0002,
            p_corrected=0.0004,
            outcome="better",
            needed=None,
            sentence=told[0],
        ),
        Pair(
            a="x",
            b="y",
            accuracy=level,
            macro_recall=None,
            mcnemar=McNemar(9, 5, 0.42),
            p=0.42,
            p_corrected=0.42,
            outcome="no measurable difference",
            needed=needed,
            sentence=told[1],
        ),
    )
    return Comparison("test", 1200, 6, entrants, pairs, ("6 speakers are few",))


def test_compare_ends_with_a_sentence_a_pair(engine: Engine) -> None:
    seen: list[Any] = []

    def compare(arguments: Any, loaded: Any, split: str, emit: Any, difference: Any) -> Comparison:
        seen.append((arguments, split, difference))
        return compared()

    engine("compare", compare)
    result = run("compare", "kd=1,2", "plain=3", "--recipe", "r.toml", "--split", "test")
    assert result.exit_code == 0, result.output
    assert seen == [(["kd=1,2", "plain=3"], "test", None)]
    assert "test: 1,200 clips, 6 speakers" in result.stdout
    assert re.search(r"kd\[1\] +2 +95\.5 % \(95\.0 … 96\.0\) +– +–", result.stdout)
    assert re.search(r"plain +1 +93\.0 % \[92\.0, 94\.0\]", result.stdout)
    differences = r"\+2\.50 \[\+1\.20, \+3\.80\] +\+0\.10 \[−0\.20, \+0\.40\]"
    row = rf"kd\[1\] − plain +{differences} +– +< 0\.001 +< 0\.001"
    assert re.search(row, result.stdout)
    assert re.search(r"x − y +\+0\.10 \[−0\.20, \+0\.40\] +– +9 : 5 +0\.420 +0\.420", result.stdout)
    assert result.stdout.splitlines()[-2:] == [pair.sentence for pair in compared().pairs]
    (told,) = lines(run("compare", "a", "b", "--recipe", "r", "--points", "0.5", "--json"))
    assert seen[-1] == (["a", "b"], "dev", 0.005)
    assert told["event"] == "comparison"
    assert told["pairs"][1]["needed"]["clips"] == 5000
    assert told["pairs"][1]["mcnemar"] == {"only_a": 9, "only_b": 5, "p": 0.42}
    assert told["entrants"][0]["paths"] == ["1", "2"]


@pytest.mark.parametrize("points", ["0", "-1", "100", "nan"])
def test_compare_refuses_differences_that_cannot_be(points: str) -> None:
    result = run("compare", "a", "b", "--recipe", "r.toml", "--points", points)
    assert result.exit_code == 2
    told = rf"--points {points}: a difference in percentage points, above 0 and below 100"
    assert re.search(told, result.stderr)


def test_predict_counts_what_it_wrote(engine: Engine) -> None:
    seen: list[Any] = []

    def predict(bundle: Path, source: Path, output: Path, emit: Any, top_k: int) -> Predicted:
        seen.append((bundle, source, output, top_k))
        return Predicted(1200, (("a.wav", "empty"),))

    engine("predict", predict)
    result = run("predict", "dist/x", "clips", "--output", "l.csv")
    assert result.exit_code == 5, result.output
    assert "1 files are not in l.csv: cannot be read" in result.stderr
    assert result.stdout == "1,200 labels in l.csv; 1 files could not be read and have no row\n"
    result = run("predict", "x.zip", "t.csv", "--output", "l.csv", "--top-k", "3", "--json")
    (told,) = lines(result)
    assert told == {
        "event": "predicted",
        "output": "l.csv",
        "rows": 1200,
        "unreadable": [["a.wav", "empty"]],
    }
    assert seen == [
        (Path("dist/x"), Path("clips"), Path("l.csv"), 1),
        (Path("x.zip"), Path("t.csv"), Path("l.csv"), 3),
    ]


def test_help_teaches_by_example() -> None:
    for command in ("evaluate", "compare", "predict"):
        text = run(command, "--help").stdout
        assert "Examples:" in text
        assert f"edgekws {command} " in text
        assert "--json" in text
