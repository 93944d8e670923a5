"""A teacher that takes audio in a chain: trained, measured with its embedding, and a student."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile

from edgekws.core.events import quiet
from edgekws.engine.chain import resolved, run_context
from edgekws.engine.chain_run import ChainRun
from edgekws.engine.data import Source
from edgekws.recipe.load import Loaded, load
from tests.embeddings import tiny

STEPS = """
[augment]
copies = 1
[[steps]]
kind = "embedding_teacher"
path = "{model}"
sample_rate = 8000
hidden = 0
training = {{ epochs = 2, batch_size = 4, schedule = {{ warmup_epochs = 0 }} }}
[[steps]]
kind = "distill"
teachers = ["embedding_teacher"]
backbone = {{ kind = "plain" }}
training = {{ epochs = 2, batch_size = 4 }}
unlabelled = ["{speech}"]
"""


@pytest.fixture
def taught(loaded: Loaded, tones: Path, tmp_path: Path) -> Loaded:
    onnx.save(tiny(), tmp_path / "tiny.onnx")
    (tmp_path / "speech").mkdir()
    noise = np.random.default_rng(0).normal(0, 0.1, 20_000)
    soundfile.write(tmp_path / "speech" / "a.flac", noise, 8_000)
    head, _, _ = tones.read_text(encoding="utf-8").partition("[[steps]]")
    recipe = tmp_path / "taught.toml"
    places = {"model": tmp_path / "tiny.onnx", "speech": tmp_path / "speech"}
    head = head.replace("seed = 3", "seed = 3\nthreads = 1")
    recipe.write_text(head + STEPS.format(**places), encoding="utf-8")
    return load(recipe)


def test_it_is_measured_with_its_embedding_and_teaches(taught: Loaded, tmp_path: Path) -> None:
    recipe = resolved(taught.recipe)
    source = Source(recipe, tmp_path / "cache", quiet)
    chain = ChainRun(run_context(source, recipe, tmp_path / "cache", quiet))
    teacher, student = recipe.steps
    done = chain.run(teacher)
    measured = chain.measure(teacher)
    figures = {m.metric: m for m in measured.measurements}
    assert figures["params"].value == 4 * 64 + 4 * 2 + 2
    assert figures["macs"].value == ((8_000 - 64) // 16 + 1) * 4 * 64 + 4 * 2
    assert figures["accuracy"].n == len(source.features.examples("dev")) == 12
    assert np.load(measured.dev_logits).shape == (12, 2)
    assert done.artifact.contract.input_shape == (8_000,)
    assert chain.run(student).details["history"]["kept_epoch"] in (1, 2)
    assert chain.run(teacher).cached
    assert chain.run(student).cached
    soundfile.write(tmp_path / "speech" / "b.wav", np.full(8_000, 0.1), 8_000)
    assert not chain.run(student).cached
    onnx.save(tiny(opset=14), tmp_path / "tiny.onnx")
    assert not chain.run(teacher).cached
