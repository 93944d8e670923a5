"""Evaluations as files: a picture for 2 and for 40 classes, JSON, and what is refused."""

import json
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from edgekws.core.corpus import Examples
from edgekws.errors import MachineError, UsageError
from edgekws.evaluation.evaluate import Evaluation, evaluation
from edgekws.report.evaluation_file import check_output, write_evaluations


def made(name: str, labels: list[str], seed: int = 0, absent: int = 0) -> Evaluation:
    """Evaluate random logits that are mostly right; the last `absent` labels have no clips."""
    rng = np.random.default_rng(seed)
    n, present = 12 * len(labels), len(labels) - absent
    targets = np.arange(n) % present
    logits = rng.standard_normal((n, len(labels))).astype(np.float32)
    logits[np.arange(n), targets] += 3
    speakers = np.array([f"s{i % 5}" for i in range(n)])
    names = tuple(map(str, range(n)))
    return evaluation(
        name, logits, Examples(np.zeros((n, 1, 1), np.float32), targets, speakers, names), labels
    )


MIXED = ["да", "توقف", "$x_1$", "_unknown_", "_silence_"]


@pytest.mark.parametrize("count", [2, 40])
def test_the_picture_has_room_for_every_class(tmp_path: Path, count: int) -> None:
    words = [f"слово {i}" for i in range(count)]
    path = tmp_path / "new" / "e.png"
    assert write_evaluations([made("m.onnx", words)], {}, path) == [path]
    picture = np.asarray(matplotlib.image.imread(path))
    assert picture.shape[0] > 150 * 0.2 * count  # 0.2 inches a class, at 150 to the inch
    ink = picture[..., :3].min(axis=2) < 0.9
    assert 0.005 < np.mean(ink) < 0.6
    assert not ink[:, -3:].any()
    assert not ink[-3:].any()


def test_labels_in_any_script_and_every_model_are_in_it(tmp_path: Path) -> None:
    long = "папка/" * 40 + "student.onnx"
    both = [made("teacher.onnx", MIXED), made(long, MIXED, seed=1, absent=2)]
    write_evaluations(both, {}, tmp_path / "e.svg")
    svg = (tmp_path / "e.svg").read_text("utf-8")
    for text in (
        "teacher.onnx",
        "student.onnx",
        "да",
        "توقف",
        "$x_1$",
        "_silence_",
        "all keywords",
    ):
        assert text in svg
    assert long not in svg  # its end is
    assert svg.count("Clips: label by row, called by column") == 2


def test_without_keywords_there_are_no_curves(tmp_path: Path) -> None:
    write_evaluations([made("m", MIXED[3:])], {}, tmp_path / "e.svg")
    svg = (tmp_path / "e.svg").read_text("utf-8")
    assert "EER" not in svg
    assert "Recall" in svg


def test_json_holds_every_figure(tmp_path: Path) -> None:
    one = made("m", MIXED, absent=1)
    write_evaluations([one, one], {"recipe": "проба", "split": "dev"}, tmp_path / "e.json")
    told = json.loads((tmp_path / "e.json").read_text("utf-8"))
    assert (told["schema"], told["recipe"], told["split"]) == (1, "проба", "dev")
    assert len(told["evaluations"]) == 2
    found = told["evaluations"][0]
    assert found["per_class"][0] == one.per_class[0] | {
        key: list(one.per_class[0][key]) for key in ("recall_ci95", "precision_ci95")
    }
    assert found["confusion"] == one.confusion
    assert found["detection"][1]["miss_rate"] == list(one.detection[1].miss_rate)
    assert found["pooled"]["label"] == "all keywords"


def test_a_folder_gets_both(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    files = write_evaluations([made("m", MIXED)], {}, folder)
    assert files == [folder / "evaluation.json", folder / "evaluation.png"]
    assert all(file.is_file() for file in files)


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    message = r"e\.gif: --output is a folder, or a file that ends in \.png, \.svg, \.pdf or \.json"
    with pytest.raises(UsageError, match=message):
        check_output(tmp_path / "e.gif")
    (tmp_path / "v1.2").mkdir()
    check_output(tmp_path / "v1.2")
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"e\.json: cannot be written \(.*name another --output"):
        write_evaluations([made("m", MIXED)], {}, tmp_path / "file" / "e.json")
