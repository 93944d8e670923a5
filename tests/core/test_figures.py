"""Every metric is printed in one form."""

from edgekws.core import figures
from edgekws.core.measurement import METRICS, Measurement


def test_every_metric_has_a_title_of_its_own() -> None:
    assert figures.STYLES.keys() == METRICS.keys()
    titles = [style.title for style in figures.STYLES.values()]
    assert len(set(titles)) == len(titles)


def test_an_unknown_metric_is_a_plain_number() -> None:
    assert (figures.title("energy_uj"), figures.figure("energy_uj", 3.14159)) == (
        "energy uj",
        "3.14",
    )
    assert figures.measured(Measurement("energy_uj", float("nan"))) == "–"


def test_a_figure_that_rounds_up_gets_the_next_prefix() -> None:
    assert figures.large(999_499) == "999 k"
    assert figures.large(999_500) == "1.00 M"
    assert figures.amount(99.96) == "100"
    assert figures.amount(9.996) == "10.0"
