"""What the CPU of this machine does with INT8."""

import pytest

from edgekws.quantizers.int8.isa import saturates_on
from edgekws.runtime import latency

_HERE = latency.fingerprint(1)

SATURATES = saturates_on(frozenset((_HERE["machine"], *_HERE["isa"])))
"""Whether onnxruntime's sums are exact here with 7-bit weights alone: only exact ones can be
compared with those of other forms and runtimes."""

needs_exact_sums = pytest.mark.skipif(
    SATURATES,
    reason="this machine's CPU has no VNNI: onnxruntime's sums with 8-bit weights saturate",
)
"""Marks tests of what networks with 8-bit weights compute in onnxruntime."""
