"""Does a predicate hold?  For hosts and tests: `parse("plan == 'pro'").holds({"plan": "pro"})`."""

from dripdrop.rules.predicate import Predicate, parse

__all__ = ["Predicate", "parse"]
