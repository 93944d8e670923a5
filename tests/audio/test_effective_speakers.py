"""Effective speakers: a participation ratio of vectors, of a sample that is the same every time."""

from pathlib import Path

import numpy as np
import pytest
import torch

from edgekws.audio import effective_speakers
from edgekws.audio.effective_speakers import Speakers, count_speakers, describe, participation_ratio
from edgekws.audio.speaker_encoder import SIZE, SpeakerEncoder, load
from edgekws.core.corpus import Clip, Listing
from edgekws.core.events import Event, quiet
from edgekws.errors import MissingPartError


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of an encoder with random weights, as if its package were installed."""
    torch.manual_seed(0)
    file = tmp_path / "pretrained.pt"
    torch.save({"step": 1, "model_state": SpeakerEncoder().state_dict()}, file)
    monkeypatch.setattr(effective_speakers, "weights", lambda: file)
    return file


@pytest.mark.parametrize("dimensions", [1, 3, 8])
def test_the_ratio_is_the_number_of_dimensions_between_speakers(dimensions: int) -> None:
    rng = np.random.default_rng(0)
    vectors = np.zeros((2_000, 16))
    vectors[:, :dimensions] = rng.standard_normal((2_000, dimensions))
    turned = vectors @ np.linalg.qr(rng.standard_normal((16, 16)))[0] * 7 + 3
    halves = turned[:, None] + rng.normal(0, 5, (2_000, 2, 16))
    assert participation_ratio(halves) == pytest.approx(dimensions, rel=0.1)
    uneven = np.repeat((vectors * np.array([10.0, *[0.1] * 15]))[:, None], 2, axis=1)
    assert 1 <= participation_ratio(uneven) < 1.01


def test_what_varies_within_one_speaker_does_not_count() -> None:
    alone = np.random.default_rng(0).standard_normal((200, 2, 16))
    assert participation_ratio(alone) < 2  # the covariance of one half has 16 even dimensions
    assert participation_ratio(np.ones((5, 2, 4))) == 0


def test_speakers_are_counted_once_and_found_in_the_cache(
    encoder: Path, listing: Listing, tmp_path: Path
) -> None:
    events: list[Event] = []
    counted = count_speakers(listing.clips, tmp_path / "cache", events.append)
    assert (counted["train"].people, counted["train"].sampled) == (4, 4)
    assert 0 <= (counted["train"].effective or 0) <= 3
    assert counted["test"] == Speakers({}, 1, 1, None)
    assert describe(counted).endswith("(sample of 4); voices: train 4 people, test 1 people")
    assert events
    events.clear()
    assert count_speakers(listing.clips, tmp_path / "cache", events.append) == counted
    assert not events


def test_without_the_encoder_voices_and_engines_are_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(effective_speakers, "weights", lambda: None)
    clips = [
        Clip(tmp_path / "a.wav", "on", f"{engine}-{n}", "train", synthesizer=engine)
        for engine, count in (("espeak", 3), ("flite", 2))
        for n in range(count)
    ]
    counted = count_speakers(clips, tmp_path, quiet)
    assert counted == {"train": Speakers({"espeak": 3, "flite": 2}, 0, 0, None)}
    assert (
        "not measured (pip install --no-deps resemblyzer==0.1.4); voices: train 3 of espeak and "
        "2 of flite" in describe(counted)
    )


def test_a_vector_has_length_one_at_every_level_and_length(encoder: Path) -> None:
    network, rng = load(encoder), np.random.default_rng(1)
    wave = rng.normal(0, 1e-3, 20_000).astype(np.float32)
    for part in (wave[:1], wave[:16_000], wave):
        vector = network.embed(part)
        assert vector.shape == (SIZE,)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(network.embed(wave), network.embed(4 * wave), atol=1e-5)


def test_a_damaged_file_names_the_command_that_mends_it(encoder: Path) -> None:
    torch.save({"model_state": {}}, encoder)
    with pytest.raises(MissingPartError, match="pip install --no-deps resemblyzer"):
        load(encoder)
