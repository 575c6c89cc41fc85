"""How does a process that only works look for garbage less often?"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Objects made before the young ones are looked through, and how often the older ones are.
SELDOM = (20_000, 20, 20)


@contextmanager
def sought_seldom() -> Iterator[None]:
    """For a process of its own, never for a host's: the settings are the whole interpreter's.

    Messages leave hardly any cycles behind, and what was imported stays; looking through it all again and again costs
    a twentieth of a worker's time.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
