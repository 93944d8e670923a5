"""Which verdicts decide a run."""

from edgekws.core.measurement import Limit, Verdict
from edgekws.core.report import Report, Result


def verdict(value: float, *, ok: bool = True) -> Verdict:
    return Verdict(Limit("params", "max", value), 1, 0.5, ok=ok)


def report(*verdicts: tuple[Verdict, ...], bundled: bool) -> Report:
    results = tuple(Result(f"s{n}", "x", "", (), given) for n, given in enumerate(verdicts))
    return Report("demo", "", {}, {}, results, ok=True, bundle_sha256="0" if bundled else None)


def test_what_the_bundle_says_again_is_said_once() -> None:
    step, recipe = verdict(1), verdict(2)
    deciding = report((step,), (recipe,), (recipe,), bundled=True).deciding()
    assert deciding == (("s0", step), ("s2", recipe))


def test_what_is_broken_on_dev_is_said_though_the_bundle_keeps_it() -> None:
    exceeded, met = verdict(2, ok=False), verdict(2)
    assert report((exceeded,), (met,), bundled=True).deciding() == (("s0", exceeded), ("s1", met))


def test_a_run_that_ended_at_a_step_shows_what_bit_there() -> None:
    step, exceeded = verdict(1), verdict(3, ok=False)
    assert report((step,), (exceeded,), bundled=False).deciding() == (
        ("s0", step),
        ("s1", exceeded),
    )
    assert report(bundled=False).deciding() == ()
