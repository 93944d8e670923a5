"""The recipe `wake-words`: what it promises of size, cost and held-out speakers."""

from pathlib import Path
from typing import Any

import pytest

from edgekws.core.contract import Contract, Normalization
from edgekws.core.events import quiet
from edgekws.core.family import load as load_member
from edgekws.lowering import checkpoint, export, stream_state
from edgekws.lowering.stream import streaming_form
from edgekws.metrics import graph
from edgekws.recipe.load import Loaded, load

RECIPE = Path(__file__).parents[2] / "recipes" / "wake-words.toml"


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load(str(RECIPE))


def test_the_student_decides_every_20_ms_within_the_budget(loaded: Loaded) -> None:
    recipe: Any = loaded.recipe
    student = next(step for step in recipe.steps if step.kind == "distill").backbone
    assert student.padding == "valid"
    twin = load_member("Backbone", "inverted_bottleneck").model_validate(student.twin())
    front_end = recipe.front_end.front_end()
    flat = Normalization((0.0,) * front_end.n_mels, (1.0,) * front_end.n_mels)
    shape = (front_end.n_mels, front_end.n_frames)
    labels = recipe.dataset.labels()
    assert labels == (*recipe.dataset.keywords, "_unknown_", "_silence_")
    contract = Contract(front_end, flat, labels, shape, twin.model_dump(mode="json"))
    model = export.export_lowered(checkpoint.untrained(contract), contract)
    assert graph.parameters(model) <= 10_000
    streaming = streaming_form(model, contract)
    assert stream_state.hop_s(streaming) == pytest.approx(0.02)
    macs_per_s = graph.macs(stream_state.of_one_hop(streaming)) / 0.02
    assert 300_000 < macs_per_s <= 1_000_000


def test_the_split_is_the_one_that_is_written_down(
    loaded: Loaded, shared_data: Path, tmp_path: Path
) -> None:
    places = {
        "path": shared_data / "wuw2" / "manifest.csv",
        "negatives": [shared_data / "librispeech"],
        "noise": shared_data / "noise",
    }
    given: Any = loaded.recipe.dataset
    dataset = type(given).model_validate(given.model_dump() | places)
    front_end = loaded.recipe.front_end.front_end()
    listing = dataset.list_clips(front_end, loaded.recipe.seed, tmp_path, quiet)
    of: dict[tuple[bool, str], set[str | None]] = {}
    for clip in listing.recordings:
        of.setdefault((clip.label == "_unknown_", clip.split), set()).add(clip.speaker)
    count = {key: len(found) for key, found in of.items()}
    words = [count[False, split] for split in ("train", "dev", "test")]
    others = [count[True, split] for split in ("train", "dev", "test")]
    assert words == [61, 15, 25]
    assert others == [60, 20, 27]
    text = " ".join(line.lstrip("# ") for line in RECIPE.read_text("utf-8").splitlines())
    assert "of the corpus' 101, 25 are held out for test and 15 for dev, 61 train" in text
    assert "of LibriSpeech's 107, 27, 20 and 60" in text
