"""The effect of a target's instruction set on quantized weights."""

_X86 = frozenset({"x86_64", "AMD64", "i686", "x86"})
_EXACT = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


def saturates_on(isa: frozenset[str]) -> bool:
    """Return whether U8 × S8 products are added in 16 bits, saturating, before they are widened.

    True on x86 (`vpmaddubsw`) unless it has VNNI or AMX; false on Arm. `isa` holds the
    architecture and its extensions, spelled as in `platform.machine()` and `/proc/cpuinfo`.

    >>> saturates_on(frozenset({"x86_64", "avx2"})), saturates_on(frozenset({"aarch64", "asimd"}))
    (True, False)
    >>> saturates_on(frozenset({"x86_64", "avx2", "avx512_vnni"}))
    False
    """
    return bool(isa & _X86) and not isa & _EXACT
