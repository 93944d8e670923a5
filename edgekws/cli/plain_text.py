"""Text for a terminal without control sequences, even from untrusted names."""

from rich.text import Text as RichText  # noqa: TID251

from edgekws.core.printable import printable


class Text(RichText):
    """Rich's text, control characters shown as escapes."""

    def __init__(self, text: str = "", style: str = "") -> None:
        """Take text as it came."""
        super().__init__(printable(text), style)

    def add(self, text: str, style: str) -> None:
        """Append text as it came, in another style."""
        self.append(printable(text), style)
