"""What does one of the demo's worker processes run?  `dripdrop worker`, which ends when whoever started it is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from importlib import import_module

PATIENCE = 10.0


def end_with_input() -> None:
    """Stop gently when the input ends, as it does even where the parent was killed; after a while less gently."""
    while os.read(sys.stdin.fileno(), 64):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)  # the database may be gone as well, and then there is nobody to say goodbye to


if __name__ == "__main__":
    threading.Thread(target=end_with_input, daemon=True).start()
    # By its name, as a shell would: the demo stands below the command line, which starts it.
    sys.exit(import_module("dripdrop.cli").main(["worker"]))
