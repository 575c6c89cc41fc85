"""When is a step due?  For hosts and tests: `parse("in 3 days")`, `due_at(timing, reached=..., zone=...)`."""

from dripdrop.rules.timing import due_at, parse

__all__ = ["due_at", "parse"]
