"""Short names of the swept keys."""

from collections.abc import Iterable


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Return the shortest suffix of each dotted key that no other key ends with.

    >>> list(short_names(["steps.0.training.epochs", "steps.1.training.epochs", "seed"]).values())
    ['0.training.epochs', '1.training.epochs', 'seed']
    >>> list(short_names(["training.lr", "lr", "steps.0.backbone.tau"]).values())
    ['training.lr', 'lr', 'tau']
    """
    parts = {key: key.split(".") for key in keys}
    return {key: _shortest(key, parts) for key in parts}


def _shortest(key: str, parts: dict[str, list[str]]) -> str:
    words = parts[key]
    for n in range(1, len(words)):
        if not any(other[-n:] == words[-n:] for name, other in parts.items() if name != key):
            return ".".join(words[-n:])
    return key
