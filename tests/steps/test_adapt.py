"""`adapt`: a network learns one person's voice, and takes no more for a keyword than before."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from edgekws.audio.front_ends import clip_features, fixed_normalization
from edgekws.core import family
from edgekws.core.canonical import sha256_file
from edgekws.core.contract import Artifact, Contract, Normalization
from edgekws.core.corpus import Examples, Split
from edgekws.core.events import Event, quiet
from edgekws.core.job import Data, Job
from edgekws.errors import DataError
from edgekws.lowering import checkpoint
from edgekws.runtime.front_end import MICRO_PARAMETERS, MICROFRONTEND, FrontEnd
from edgekws.steps._adapting import between
from edgekws.steps._person import (
    WithPerson,
    features,
    person_files,
    read_person,
    room_windows,
    varied,
)

FRONT_END = FrontEnd(
    sample_rate=8_000, n_fft=256, win_length=240, hop_length=80, n_mels=16, window_s=0.5
)
LABELS = ("low", "high", "_unknown_", "_silence_")
NORMALIZATION = Normalization((-8.0,) * 16, (3.0,) * 16)
RATE, SIZE = 8_000, 4_000
STUDENT = {"kind": "inverted_bottleneck", "channels": 8, "blocks": 1, "head": 0}
HERTZ = {"low": 400.0, "high": 1_600.0, "other": 900.0}
HERTZ_OF_PERSON = {"low": 750.0, "high": 1_600.0, "other": 3_000.0}


def tone(hertz: float, seed: int) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    time = np.arange(SIZE) / RATE
    wave = 0.01 * random.standard_normal(SIZE)
    wave[800:3_200] += (0.3 * np.sin(2 * np.pi * hertz * random.uniform(0.97, 1.03) * time))[:2_400]
    return wave.astype(np.float32)


def clips(first: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    waves, targets = [], []
    for n in range(40):
        for label, word in enumerate(("low", "high", "other")):
            waves.append(tone(HERTZ[word], first + 100 * label + n))
            targets.append(label)
        waves.append(tone(0.0, first + n))  # a room
        targets.append(3)
    return np.stack(waves), np.array(targets)


class Tones:
    """Words that are tones, without augmentation."""

    labels = LABELS
    front_end = FRONT_END
    normalization = NORMALIZATION

    def __init__(self) -> None:
        self._splits = {}
        for first, split in ((0, "train"), (5_000, "dev")):
            waves, targets = clips(first)
            n = len(targets)
            heard = features(waves, FRONT_END, NORMALIZATION)
            self._splits[split] = Examples(heard, targets, np.array(["s"] * n), ("",) * n)

    def examples(self, split: Split) -> Examples:
        return self._splits[split]

    def augmented(self, epoch: int) -> NDArray[np.float16]:
        return self.examples("train").features.astype(np.float16)

    def mask(
        self,
        features: NDArray[np.float32],
        clips: NDArray[np.int64],
        epoch: int,
        strength: float = 1.0,
    ) -> NDArray[np.float32]:
        return features

    def negatives(self) -> tuple[NDArray[np.float32], ...]:
        return ()

    def calibration(self, n: int) -> NDArray[np.int64]:
        return np.arange(160)[:n]


@pytest.fixture(scope="module")
def data() -> Tones:
    return Tones()


@pytest.fixture(scope="module")
def trained(data: Tones, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A network that knows the words of the data."""
    contract = Contract(FRONT_END, NORMALIZATION, LABELS, (16, FRONT_END.n_frames), STUDENT)
    torch.manual_seed(0)
    network = checkpoint.build(contract).train()
    train = data.examples("train")
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        logits = network(torch.from_numpy(train.features))
        torch.autograd.backward(F.cross_entropy(logits, torch.from_numpy(train.targets)))
        optimizer.step()
    path = tmp_path_factory.mktemp("trained") / "checkpoint.safetensors"
    checkpoint.save(network.eval(), contract, path)
    return Artifact("checkpoint", path, sha256_file(path), contract)


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of each word by somebody whose low is higher, and whose other word is new."""
    folder = tmp_path_factory.mktemp("voice")
    for word, hertz in HERTZ_OF_PERSON.items():
        (folder / word).mkdir()
        for n in range(4):
            wave = tone(hertz, 9_000 + n)
            soundfile.write(folder / word / f"me_nohash_{n}.wav", wave, RATE, subtype="PCM_16")
    (folder / "_background_noise_").mkdir()
    room = 0.01 * np.random.default_rng(1).standard_normal(8 * SIZE)
    soundfile.write(folder / "_background_noise_" / "me_room_0.wav", room, RATE)
    return folder


def step(recordings: Path, **fields: Any) -> Any:
    table = {"kind": "adapt", "recordings": str(recordings), "copies": 3, "replay": 80, "folds": 2}
    table["training"] = {"epochs": 4, "batch_size": 32, "optimizer": {"lr": 0.01}, "keep": "last"}
    return family.load("Step", "adapt").model_validate(table | fields)


def job(folder: Path, data: Data, emit: Any = quiet) -> Job:
    folder.mkdir(exist_ok=True)
    return Job(data, 7, "cpu", 1, folder, emit)


def right(path: Path, examples: Examples) -> float:
    network, _ = checkpoint.load(path)
    with torch.no_grad():
        answers = network(torch.from_numpy(examples.features)).argmax(1).numpy()
    return float((answers == examples.targets).mean())


def test_it_learns_the_voice_and_keeps_what_it_knows(
    data: Tones, trained: Artifact, voice: Path, tmp_path: Path
) -> None:
    events: list[Event] = []
    adapt = step(voice)
    assert (adapt.takes, adapt.gives, adapt.named_inputs) == ("checkpoint", "checkpoint", ())
    output = adapt.run({"input": trained}, job(tmp_path / "a", data, events.append))
    person = output.details["person"]
    assert (person["clips"], person["folds"]) == (8, 2)
    assert person["before"] >= 3  # its low is no low yet
    assert person["after"] <= person["before"] // 2
    assert output.details["false_alarms"]["of"] == 80
    assert output.details["room"]["of"] == 7
    for part in ("false_alarms", "room"):
        assert output.details[part]["after"] <= output.details[part]["before"]
    assert checkpoint.load(output.path)[1] == trained.contract
    dev = data.examples("dev")
    assert right(output.path, dev) > 0.95
    assert right(trained.path, dev) > 0.95
    (note,) = [event.text for event in events if event.kind == "note"]
    assert note == f"adapt: {output.details['sentence']}"
    before = f"{person['before']} of 8 ({100 * person['before'] / 8:.1f} % ["
    assert f"misses of this person, cross-validated in 2 parts: {before}" in note
    assert "of 80 clips of dev without a keyword" in note
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["checkpoint.safetensors"]
    again = adapt.run({"input": trained}, job(tmp_path / "b", data))
    assert again.path.read_bytes() == output.path.read_bytes()


def test_a_network_that_would_only_raise_false_alarms_stays(
    trained: Artifact, data: Tones, tmp_path: Path
) -> None:
    voice = tmp_path / "voice"
    (voice / "low").mkdir(parents=True)
    for n in range(4):  # says "low" as everybody says the other word
        soundfile.write(voice / "low" / f"me_nohash_{n}.wav", tone(HERTZ["other"], n), RATE)
    loss = {"ce_weight": 1.0, "kl_weight": 0.0, "label_smoothing": 0.0}
    output = step(voice, share=0.9, loss=loss).run({"input": trained}, job(tmp_path / "a", data))
    alarms = output.details["false_alarms"]
    assert alarms["after"] <= alarms["before"]
    assert output.details["part"] < 1
    unchanged = "the network is unchanged: every change raised" in output.details["sentence"]
    assert unchanged == (output.details["part"] == 0)
    assert output.details["room"]["of"] == 0
    assert right(output.path, data.examples("dev")) > 0.95


def test_clips_are_read_labelled_and_numbered(voice: Path) -> None:
    person = read_person(voice, None, LABELS, FRONT_END)
    assert person.windows.shape == (12, SIZE)
    assert person.targets.tolist() == [1] * 4 + [0] * 4 + [2] * 4  # folders by name
    assert person.takes.tolist() == [0, 1, 2, 3] * 3
    assert len(read_person(voice, None, LABELS[:2], FRONT_END)) == 8  # other words have no label
    assert [len(wave) for wave in person.room] == [8 * SIZE]
    windows = room_windows(person.room, FRONT_END)
    assert [len(window) for window in windows] == 15 * [SIZE]
    assert np.array_equal(windows[1], person.room[0][SIZE // 2 :][:SIZE])
    assert len(person_files(voice, voice / "low" / "me_nohash_0.wav")) == 14


def test_variations_differ_and_repeat(voice: Path, data: Tones) -> None:
    person = read_person(voice, None, LABELS, FRONT_END)
    bank = varied(person, data, 2, 7, quiet)
    assert bank.shape == (3, 12, 16, FRONT_END.n_frames)
    np.testing.assert_array_equal(bank[0], features(person.windows, FRONT_END, NORMALIZATION))
    assert np.abs(bank[1] - bank[0]).max() > 0.5
    assert np.abs(bank[2] - bank[1]).max() > 0.5
    np.testing.assert_array_equal(bank, varied(person, data, 2, 7, quiet))


def test_the_persons_clips_follow_those_that_are_replayed(data: Tones) -> None:
    bank = np.linspace(0, 1, 3 * 2 * 16 * 47, dtype=np.float32).reshape(3, 2, 16, 47)
    replayed, targets = np.array([5, 9]), np.array([1, 0])
    mixed: Data = WithPerson(data, replayed, bank, targets, 2)
    train, before = mixed.examples("train"), data.examples("train")
    assert len(train) == 6 == len(train.names) == len(train.speakers)
    assert train.targets.tolist() == [*before.targets[replayed], 1, 0, 1, 0]
    np.testing.assert_array_equal(train.features[:2], before.features[replayed])
    rows = [mixed.augmented(epoch)[2:] for epoch in range(3)]
    half = bank.astype(np.float16)
    for epoch, order in enumerate(([0, 1], [2, 0], [1, 2])):
        np.testing.assert_array_equal(rows[epoch], np.concatenate([half[k] for k in order]))
    assert mixed.examples("dev") is data.examples("dev")


def test_weights_lie_between_and_counters_stay() -> None:
    start = {"w": torch.tensor([0.0, 4.0]), "n": torch.tensor(3)}
    end = {"w": torch.tensor([2.0, 0.0]), "n": torch.tensor(9)}
    middle = between(start, end, 0.25)
    assert middle["w"].tolist() == [0.5, 3.0]
    assert middle["n"] == 3


def test_recordings_that_cannot_be_learnt(
    trained: Artifact, data: Tones, voice: Path, tmp_path: Path
) -> None:
    (tmp_path / "v" / "low").mkdir(parents=True)
    soundfile.write(tmp_path / "v" / "low" / "me_nohash_0.wav", tone(400, 0), RATE)
    inputs = {"input": trained}
    with pytest.raises(DataError, match=r"holds no keyword twice \(low, high\); record some of"):
        step(tmp_path / "v").run(inputs, job(tmp_path / "a", data))
    spaced = (tmp_path / "v").rename(tmp_path / "a b")
    with pytest.raises(DataError, match=r"edgekws record 'turn on' low --output '.*/a b'"):
        read_person(spaced, None, ("turn on", "low"), FRONT_END)
    with pytest.raises(DataError, match="no such folder"):
        step(tmp_path / "none").fingerprint()
    with pytest.raises(DataError, match=r"none: no such file or folder \(room\)"):
        step(voice, room=str(tmp_path / "none")).fingerprint()

    class Strict:
        def refuse_held_out(self, paths: Sequence[Path]) -> None:
            raise DataError(f"{len(paths)} files")

    strict: Any = Strict()
    held = Job(data, 7, "cpu", 1, tmp_path, quiet, audio=strict)
    with pytest.raises(DataError, match="13 files"):
        step(voice).run(inputs, held)


def test_silent_clips_and_copies_are_refused(voice: Path, tmp_path: Path) -> None:
    voice = shutil.copytree(voice, tmp_path / "voice")
    shutil.copy(voice / "low" / "me_nohash_0.wav", voice / "low" / "memo.wav")
    with pytest.raises(DataError, match=r"memo\.wav: is a copy of .*nohash_0\.wav; leave one of"):
        read_person(voice, None, LABELS, FRONT_END)
    soundfile.write(voice / "low" / "memo.wav", np.full(SIZE, 5e-4), RATE)
    with pytest.raises(DataError, match=r"memo\.wav: is silent; record it again, or leave it"):
        read_person(voice, None, LABELS, FRONT_END)
    (voice / "low" / "memo.wav").rename(voice / "_background_noise_" / "memo.wav")
    assert len(read_person(voice, None, LABELS, FRONT_END)) == 12


def test_the_recordings_are_part_of_its_identity(voice: Path, tmp_path: Path) -> None:
    before = step(voice).fingerprint()
    assert step(voice).fingerprint() == before
    room = tmp_path / "room.wav"
    soundfile.write(room, np.zeros(SIZE), RATE)
    assert step(voice, room=str(room)).fingerprint() != before


def test_features_are_those_of_the_front_end() -> None:
    front_end = FrontEnd(kind=MICROFRONTEND, **MICRO_PARAMETERS)
    normalization = fixed_normalization(front_end)
    assert normalization is not None
    windows = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 16_000)).astype(np.float32)
    expected = np.stack([clip_features(window, front_end) for window in windows])
    np.testing.assert_array_equal(features(windows, front_end, normalization), expected)
    assert expected.max() > 5
    in_room = room_windows([windows.ravel()], front_end)
    assert [len(window) for window in in_room] == [16_000, 24_000, 32_000]
    expected = clip_features(windows.ravel(), front_end)[None]
    np.testing.assert_array_equal(features(in_room[2:], front_end, normalization), expected)
