"""`python -m suites.contract.openim.document DIRECTORY`: write the documents of the OpenIM contract."""

from __future__ import annotations

import sys
from pathlib import Path

from suites.contract.openim.document.pages import write_pages


def main(arguments: list[str]) -> int:
    """Write the documents to the directory in `arguments`; returns the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("Give one directory to write to: python -m suites.contract.openim.document docs\n")
        return 3
    write_pages(Path(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
