"""Environment variables that hold for a while: what is imported or started meanwhile reads them."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""Variables by which numerical libraries start one thread each."""


@contextmanager
def environ_set(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables; restore what they were, or were not, afterwards.

    >>> with environ_set({"EDGEKWS_EXAMPLE": "1"}):
    ...     os.environ["EDGEKWS_EXAMPLE"]
    '1'
    >>> "EDGEKWS_EXAMPLE" in os.environ
    False
    """
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
