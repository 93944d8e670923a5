"""Hold out speakers by a hash of the name, independent of the order of files."""

from collections.abc import Iterable, Sequence

from edgekws.core.canonical import sha256_of


def ranked(names: Iterable[str], salt: object) -> list[str]:
    """Return `names` without duplicates in an order that depends on `salt` and each name only.

    Adding or removing a name does not change the order of the others.

    >>> ranked(["b", "a", "c", "a"], salt=0) == ranked(["c", "b", "a"], salt=0)
    True
    """
    return sorted(set(names), key=lambda name: (sha256_of([salt, name]), name))


def held_out(names: Iterable[str], fraction: float, salt: object) -> frozenset[str]:
    """Return `fraction` of `names`, drawn with `salt`: at least one, but never all of them.

    >>> len(held_out("abcdefghijklmnopqr", 0.15, salt=7))
    3
    >>> len(held_out("ab", 0.01, salt=7)), len(held_out("ab", 0.99, salt=7))
    (1, 1)
    """
    order = ranked(names, salt)
    return frozenset(order[: share_of(len(order), fraction)])


def share_of(count: int, fraction: float) -> int:
    """Return `fraction` of `count` rounded, at least 1 and at most `count - 1`.

    >>> share_of(10, 0.15), share_of(3, 0.15), share_of(1, 0.15)
    (2, 1, 0)
    """
    return min(max(round(count * fraction), 1), max(count - 1, 0))


def three_way(
    names: Iterable[str], dev_fraction: float, test_fraction: float, dev_salt: object
) -> dict[str, Sequence[str]]:
    """Split `names` into train, dev and test.

    Test depends on the names only, so it is the same for every seed; dev, drawn from the rest,
    also depends on `dev_salt`.
    """
    everyone = frozenset(names)
    test = held_out(everyone, test_fraction, salt="test")
    dev = held_out(everyone - test, dev_fraction, salt=dev_salt)
    return {"train": sorted(everyone - test - dev), "dev": sorted(dev), "test": sorted(test)}
