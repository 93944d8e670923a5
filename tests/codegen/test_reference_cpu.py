"""What is said where another form differs from onnxruntime depends on the CPU."""

import pytest

from edgekws.codegen.reference_cpu import difference_advice
from edgekws.runtime import latency


@pytest.mark.parametrize(
    ("isa", "advice"),
    [(["avx2"], "set saturates = true"), (["avx2", "avx512_vnni"], "please report it")],
)
def test_a_cpu_without_vnni_is_named(
    monkeypatch: pytest.MonkeyPatch, isa: list[str], advice: str
) -> None:
    here = latency.fingerprint(1) | {"machine": "x86_64", "isa": isa}
    monkeypatch.setattr(latency, "fingerprint", lambda threads: here)
    assert advice in difference_advice()
