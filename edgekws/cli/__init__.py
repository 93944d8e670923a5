"""The command line."""

import sys

from edgekws.cli import process

__all__ = ["main"]


def main() -> None:
    """Run the command line; it can be interrupted from its first moment to its last."""
    try:
        process.open_streams()
        process.end_as_by_ctrl_c()
        from edgekws.cli import app

        app.main()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        process.end()
