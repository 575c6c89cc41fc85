"""May a person be written to at this hour?  `next_allowed(at, parse([8, 21]), "Europe/Vienna")`."""

from dripdrop.rules.windows import Window, allowed, next_allowed, parse

__all__ = ["Window", "allowed", "next_allowed", "parse"]
