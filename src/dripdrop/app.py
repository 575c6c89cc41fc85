"""Where does a host begin?  With `DripDrop`, or with `AsyncDripDrop`, which is the same list, awaited."""

from dripdrop._awaited import AsyncDripDrop
from dripdrop._blocking import DripDrop

__all__ = ["AsyncDripDrop", "DripDrop"]
