"""Samples that are handed over from code: what is documented is heard, the rest is refused."""

from pathlib import Path

import numpy as np
import pytest

from edgekws.runtime.detect import Classifier, Detector, Loudest, fit_window
from tests.tone_bundle import track

SPOKEN = track(2.0, {0.5: "низкий"})
PCM = np.rint(SPOKEN * 32767).astype(np.int16)
FORMS = {
    "int16": PCM,
    "big-endian int16": PCM.astype(">i2"),
    "float32": PCM / np.float32(32768),
    "float64": PCM / 32768,
    "big-endian float32": (PCM / 32768).astype(">f4"),
}
REFUSED = {
    "int32": (PCM.astype(np.int32), "expected int16, or floats .*, not int32; scale and convert"),
    "uint16": (PCM.view(np.uint16), "not uint16"),
    "bool": (PCM > 0, "not bool"),
    "int16 as float32": (PCM.astype(np.float32), r"expected floats in \[-1, 1\], not up to \d+"),
    "full range of float64": (np.array([0, 1e300]), "not up to 1e\\+300; divide by full scale"),
    "NaN": (np.array([0, np.nan]), "NaN or infinite"),
    "inf": (np.array([0, -np.inf], np.float32), "NaN or infinite"),
    "stereo": (np.zeros((2, 2), np.float32), r"expected one channel, .* not an array \(2, 2\)"),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_is_heard_in_every_form(tone_bundle: Path, form: str) -> None:
    assert Classifier(tone_bundle).classify(FORMS[form]) == Classifier(tone_bundle).classify(PCM)
    detector = Detector(tone_bundle)
    events = detector.feed(FORMS[form]) + detector.flush()
    assert [event.keyword for event in events] == ["низкий"]
    assert events == detector.feed(PCM) + detector.flush()


@pytest.mark.parametrize("name", REFUSED)
def test_other_samples_are_refused(tone_bundle: Path, name: str) -> None:
    samples, why = REFUSED[name]
    for hear in (Classifier(tone_bundle).classify, Detector(tone_bundle).feed):
        with pytest.raises(ValueError, match=why):
            hear(samples)


def test_what_a_decoder_overshoots_is_heard(tone_bundle: Path) -> None:
    assert Classifier(tone_bundle).classify(SPOKEN * (1.3 / np.abs(SPOKEN).max()))[0] == "низкий"


def test_a_clip_without_samples_has_no_label(tone_bundle: Path) -> None:
    with pytest.raises(ValueError, match="holds no samples"):
        Classifier(tone_bundle).classify(np.zeros(0, np.float32))


def test_a_window_has_its_length(tone_bundle: Path) -> None:
    with pytest.raises(ValueError, match="expected 16000 samples, not 10"):
        Classifier(tone_bundle).logits(np.zeros(10, np.float32))


@pytest.mark.parametrize("length", [1, 999, 1000, 1001, 5_000])
def test_the_loudest_window_is_the_same_in_blocks(length: int) -> None:
    wave = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    for size in (1, 7, 1000, 4_000):
        loudest = Loudest(1000)
        for start in range(0, length, size):
            loudest.add(wave[start : start + size])
        np.testing.assert_array_equal(loudest.window(), fit_window(wave, 1000))
