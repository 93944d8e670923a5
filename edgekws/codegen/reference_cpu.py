"""Whether onnxruntime on this CPU computes the integers that other forms have to equal."""

from edgekws.quantizers.int8.isa import saturates_on
from edgekws.runtime import latency


def difference_advice() -> str:
    """Return what to do where another form computes other integers than onnxruntime here."""
    here = latency.fingerprint(1)
    if saturates_on(frozenset((here["machine"], *here["isa"]))):
        return (
            "this CPU has no VNNI, and sums with 8-bit weights saturate in onnxruntime: use a CPU "
            "with VNNI, or set saturates = true in the step quantize"
        )
    return "please report it"
