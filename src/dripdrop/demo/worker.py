"""What does one of the demo's worker processes run?  `dripdrop worker`, which ends when whoever started it is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading


def end_with_input() -> None:
    """Stop gently when the input ends: that happens even where the parent was killed."""
    while os.read(sys.stdin.fileno(), 64):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=end_with_input, daemon=True).start()
    try:
        from dripdrop.cli import main
    except ImportError:
        from dripdrop.app import DripDrop

        DripDrop().run_worker()
    else:
        main(["worker"])
