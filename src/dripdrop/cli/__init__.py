"""What can be asked from a terminal?  The way in, which works without the extra too, if only to name it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line; answers its exit status: 0 done, 1 refused or failed, 2 wrong usage."""
    args = list(sys.argv[1:] if argv is None else argv)
    if find_spec("click") is None or find_spec("rich") is None:
        return _without_the_extra(args)
    from dripdrop.cli.root import run

    return run(args)


def _without_the_extra(args: Sequence[str]) -> int:
    from dripdrop.errors import MissingExtra

    missing = MissingExtra("The command line", "cli")
    if "--json" in args:
        import json

        sys.stdout.write(json.dumps({"error": {**missing.as_dict(), "findings": []}}) + "\n")
    else:
        sys.stderr.write(f"{missing.message}\n{missing.cure}\n[{missing.code}]\n")
    return 1
