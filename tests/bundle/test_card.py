from edgekws.bundle.card import model_card
from edgekws.core.contract import UNKNOWN, Contract, Normalization
from edgekws.core.measurement import Measurement
from edgekws.runtime.front_end import FrontEnd


def test_the_card_states_what_was_measured() -> None:
    contract = Contract(
        FrontEnd(), Normalization((0.0,) * 40, (1.0,) * 40), ("да", "нет"), (40, 97), {"kind": "x"}
    )
    measurements = (
        Measurement("params", 9_184),
        Measurement("size_kib", 23.0, "KiB"),
        Measurement("accuracy", 0.951, n=400, ci95=(0.93, 0.968)),
        Measurement("front_end_size_kib", 186.04, "KiB"),
        Measurement("bundle_size_kib", 251.63, "KiB"),
    )
    classes = [
        {"label": "да", "support": 80, "right": 78, "called": 94, "unknown_accepted": 13},
        {"label": UNKNOWN, "support": 120, "right": 44, "called": 0, "unknown_accepted": None},
    ]
    card = model_card(contract, {"recipe": "проба"}, measurements, classes, "ab" * 32)
    assert "| parameters | 9,184 |  |  |" in card
    assert "| accuracy | 95.1 % | [93.0, 96.8] | 400 |" in card
    assert "| size | 23.0 KiB | 186 KiB | 252 KiB |" in card
    assert "| MACs |" not in card
    assert "front_end_size_kib" not in card
    assert "| да | 97.5 % (78/80) | 83.0 % (78/94) | 10.8 % (13/120) |" in card
    assert "| _unknown_ | 36.7 % (44/120) | – | – |" in card
    assert "да, нет" in card
    assert "ab" * 32 in card
    assert "waveform `(1, 16000)`" in card
