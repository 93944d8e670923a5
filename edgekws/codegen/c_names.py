"""Structs and names in C99."""

import re
from collections.abc import Mapping


def record(kind: str, name: str, fields: Mapping[str, str]) -> str:
    """Return the definition of a constant struct, a member a line."""
    body = "".join(f"    .{field} = {value},\n" for field, value in fields.items())
    return f"static const {kind} {name} = {{\n{body}}};\n"


class Names:
    """Names of layers as identifiers, each given out once."""

    def __init__(self) -> None:
        """Begin with none given out."""
        self._taken: set[str] = set()

    def unique(self, name: str) -> str:
        """Return an identifier for a name.

        >>> names = Names()
        >>> names.unique("blocks.0.body"), names.unique("blocks/0/body"), names.unique("5.1")
        ('blocks_0_body', 'blocks_0_body_2', 'layer_5_1')
        """
        plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower() or "layer"
        plain = f"layer_{plain}" if plain[0].isdigit() else plain
        identifier, number = plain, 2
        while identifier in self._taken:
            identifier, number = f"{plain}_{number}", number + 1
        self._taken.add(identifier)
        return identifier
