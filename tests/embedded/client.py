"""A process that uses a server until it is told to stop: prints its URL, then leaves when its input ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dripdrop import embedded

if __name__ == "__main__":
    with embedded.start(Path(sys.argv[1]), version=int(sys.argv[2]) if len(sys.argv) > 2 else None) as server:
        print(json.dumps({"url": server.url, "version": server.version}), flush=True)
        sys.stdin.read()
