"""What the CPU of this machine does with INT8."""

from edgekws.quantizers.int8.isa import saturates_on
from edgekws.runtime import latency

_HERE = latency.fingerprint(1)

SATURATES = saturates_on(frozenset((_HERE["machine"], *_HERE["isa"])))
"""Whether onnxruntime's sums are exact here with 7-bit weights alone: only exact ones can be
compared with those of other forms and runtimes."""
