"""What the details of a step are, so that a report shows them by their kind."""

from collections.abc import Mapping
from typing import Literal

Kind = Literal["history", "frontier"]
"""What is drawn as well as listed.

A `history` is what `training.fit` returns: rows of `epochs`, and `kept_epoch`. A `frontier` is a
list of points with the `layers` in FP32, `coverage`, `accuracy` and whether the point was `kept`.
Details of no kind are shown as they are built: mappings as pairs, lists of mappings as tables.
"""

Kinds = Mapping[str, Kind]
"""The kinds of details, by their keys."""
