"""Write docs/recipe.schema.json from the classes that read a recipe.

    python tools/recipe_schema.py [--check]

With --check nothing is written: the exit code is 1 where the file is not what would be written.
"""

import argparse
import sys
from pathlib import Path

from edgekws.recipe.json_schema import recipe_schema_text

FILE = Path(__file__).resolve().parents[1] / "docs" / "recipe.schema.json"


def main() -> int:
    """Write or check the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 where the file is not current")
    parser.add_argument("--file", type=Path, default=FILE, help="default: %(default)s")
    options = parser.parse_args()
    text = recipe_schema_text()
    if not options.check:
        options.file.write_text(text, encoding="utf-8")
        return 0
    if options.file.is_file() and options.file.read_text(encoding="utf-8") == text:
        return 0
    print(
        f"{options.file} is not current; write it with: python tools/recipe_schema.py",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
