"""edgekws as a library: as a notebook uses it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgekws
from edgekws.core.events import Event
from edgekws.errors import DataError, RecipeError, UsageError
from tests.tone_bundle import RATE, TONES, make, track

LOW, HIGH = TONES


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle that tells a low tone from a high one."""
    return make(tmp_path_factory.mktemp("тоны"), streaming=True)


def test_importing_it_is_instant_and_what_it_offers_is_there() -> None:
    program = (
        "import sys, edgekws; heavy = {'numpy', 'torch', 'onnx', 'pydantic'} & set(sys.modules)\n"
        "print(sorted(heavy), set(edgekws.__all__) <= set(dir(edgekws)))\n"
        "edgekws.plan; print(all(hasattr(edgekws, name) for name in edgekws.__all__))\n"
        "print('torch' in sys.modules, hasattr(edgekws, 'nothing'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split("\n")[:3] == ["[] True", "True", "False False"], done.stderr


def test_every_function_says_what_it_does() -> None:
    for name in edgekws.__all__:
        if name != "__version__":
            assert getattr(edgekws, name).__doc__


def test_a_bundle_hears_clips_and_streams(
    bundle: Path, tmp_path: Path, save: Callable[[Path, np.ndarray], Path]
) -> None:
    samples = track(6.0, {1.0: LOW, 4.0: HIGH})
    file = save(tmp_path / "тоны.wav", samples)
    with edgekws.load(str(bundle)) as spotter:
        assert (spotter.labels[:2], spotter.sample_rate) == ((LOW, HIGH), RATE)
        assert LOW in repr(spotter)
        whole = [event.keyword for event in spotter.stream(file)]
        assert whole == [LOW, HIGH]
        fed = [e for i in range(0, len(samples), 999) for e in spotter.feed(samples[i : i + 999])]
        assert [event.keyword for event in [*fed, *spotter.flush()]] == whole
        clip = track(1.0, {0.3: HIGH})
        label, score = spotter.classify(clip)
        assert (label, score > 0.5) == (HIGH, True)
        assert spotter.classify(save(tmp_path / "h.wav", clip)) == pytest.approx(
            (label, score), abs=1e-3
        )
        with pytest.raises(DataError, match="no such file"):
            spotter.classify(tmp_path / "gone.wav")
        with pytest.raises(ValueError, match="int16"):
            spotter.feed(np.zeros(9, np.int32))
    with pytest.raises(DataError):
        edgekws.load(tmp_path / "nothing")


def test_a_recording_left_early_leaves_nothing_behind(
    bundle: Path, tmp_path: Path, save: Callable[[Path, np.ndarray], Path]
) -> None:
    file = save(tmp_path / "long.wav", track(6.0, {1.0: LOW, 4.0: HIGH}))
    live = track(2.0, {0.8: HIGH})
    spotter = edgekws.load(bundle)
    alone = [*spotter.feed(live), *spotter.flush()]
    for _ in spotter.stream(file):
        break
    assert [*spotter.feed(live), *spotter.flush()] == alone != []


def test_mypy_knows_the_types_of_a_snippet(tmp_path: Path) -> None:
    snippet = tmp_path / "snippet.py"
    snippet.write_text(
        "import edgekws\n"
        "from edgekws import Spotter\n"
        "spotter: Spotter = edgekws.load('bundle.zip')\n"
        "label: str = spotter.classify('clip.wav')[0]\n"
        "ok: bool = edgekws.compress('quickstart').value.ok\n"
        "edgekws.lod('bundle.zip')\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", str(snippet)]
    # where the package itself has been checked, nothing of it is read again
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 1, done.stdout + done.stderr
    assert 'snippet.py:6: error: Module has no attribute "lod"' in errors[0]


def test_a_bundle_is_verified_and_given_away(bundle: Path, tmp_path: Path) -> None:
    found = edgekws.verify(bundle)
    assert found.value.labels[:2] == (LOW, HIGH)
    assert found.value.sha256 in str(found)
    made = edgekws.export(bundle, "zip", tmp_path / "b.zip")
    assert made.value.verified == found.value
    assert edgekws.load(tmp_path / "b.zip").labels == found.value.labels
    with pytest.raises(UsageError, match="zipp: no such form; did you mean zip"):
        edgekws.export(bundle, "zipp", tmp_path / "c.zip")


def test_a_plan_prints_and_shows_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path))
    heard: list[Event] = []
    made = edgekws.plan("quickstart", overrides=["target.seconds=0.1"], emit=heard.append)
    assert heard
    assert made.value.rows[0].name == "teacher"
    text, page = str(made), made._repr_html_()
    for name in ("teacher", "simplify", "max_params", "on the device"):
        assert name in text
        assert name in page
    assert repr(made) == text
    assert page.count("<table>") == page.count("</table>") == len(made.tables)
    widths = {len(line.rstrip()) for line in text.split("\n\n")[0].splitlines()[1:]}
    assert max(widths) < 100


def test_a_recipe_may_be_a_mapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekws.recipe.load import builtins, load

    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.toml").write_bytes(builtins()["quickstart"].read_bytes())
    given = {"extends": "base.toml", "seed": 7}
    loaded = load(given, ["threads=1"])
    assert (loaded.recipe.seed, loaded.recipe.threads, loaded.path) == (7, 1, None)
    assert loaded.recipe.steps == load("quickstart").recipe.steps
    assert loaded.sources == (Path("base.toml"),)
    assert given == {"extends": "base.toml", "seed": 7}
    with pytest.raises(RecipeError, match="recipe: seeed: "):
        edgekws.plan({"extends": "base.toml", "seeed": 7})
    with pytest.raises(RecipeError, match=r"there is no file other\.toml"):
        edgekws.compress({"extends": "other.toml"})


def test_wrong_calls_are_told(bundle: Path) -> None:
    with pytest.raises(UsageError, match="check needs a budget, a recipe, or both"):
        edgekws.check(bundle)
    with pytest.raises(UsageError, match="evaluate needs a model"):
        edgekws.evaluate(recipe="quickstart")
    with pytest.raises(UsageError, match="seconds: Input should be greater than 0"):
        edgekws.profile(bundle, seconds=-1)
    with pytest.raises(UsageError, match=r"^affinity\.1: Input should be greater"):
        edgekws.profile(bundle, affinity=[0, -1])
    with pytest.raises(UsageError, match="points"):
        edgekws.compare("a", "b", recipe="quickstart", points=200)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        getattr(edgekws, "nothing")  # noqa: B009 mypy refuses the attribute


def test_a_bundle_is_checked_and_timed(bundle: Path, tmp_path: Path) -> None:
    budget = tmp_path / "budget.toml"
    budget.write_text("max_params = 10\nmax_size_kib = 1_000\n")
    made = edgekws.check(bundle, budget=budget)
    measurements, verdicts = made.value
    assert [verdict.ok for verdict in verdicts] == [False, True]
    assert {"params", "bundle_size_kib"} <= {m.metric for m in measurements}
    assert not made.ok
    assert str(made).split("\n\n")[-1].startswith("the budget is not met: max_params = 10 (")
    assert "<strong>the budget is not met: max_params = 10 (" in made._repr_html_()
    budget.write_text("max_size_kib = 1_000\n")
    assert edgekws.check(bundle, budget=budget).ok
    timed = edgekws.profile(bundle, seconds=0.2)
    assert "latency of one inference" in str(timed)


def test_folders_are_labelled(
    bundle: Path, tmp_path: Path, save: Callable[[Path, np.ndarray], Path]
) -> None:
    save(tmp_path / "in" / "a.wav", track(1.0, {0.3: LOW}))
    made = edgekws.predict(bundle, tmp_path / "in", tmp_path / "out.csv")
    assert made.value.rows == 1
    assert LOW in (tmp_path / "out.csv").read_text("utf-8")
    assert str(made) == f"1 labels in {tmp_path / 'out.csv'}"


@pytest.fixture
def save() -> Callable[[Path, np.ndarray], Path]:
    """Return what writes samples as 16-bit WAV."""
    import soundfile

    def write(path: Path, samples: np.ndarray) -> Path:
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, samples, RATE, subtype="PCM_16")
        return path

    return write
