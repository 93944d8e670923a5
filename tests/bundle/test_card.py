from edgekws.bundle.card import model_card
from edgekws.core.contract import Contract, Normalization
from edgekws.core.measurement import Measurement
from edgekws.runtime.front_end import FrontEnd


def test_the_card_states_what_was_measured():
    contract = Contract(
        FrontEnd(), Normalization((0.0,) * 40, (1.0,) * 40), ("да", "нет"), (40, 97), {"kind": "x"}
    )
    found = (
        Measurement("params", 9_184),
        Measurement("accuracy", 0.951, n=400, ci95=(0.93, 0.968)),
    )
    card = model_card(contract, {"recipe": "проба"}, found, "ab" * 32)
    assert "| params | 9,184  |  |  |" in card
    assert "| accuracy | 0.951  | 0.93 to 0.968 | 400 |" in card
    assert "да, нет" in card
    assert "ab" * 32 in card
    assert "waveform `(1, 16000)`" in card
