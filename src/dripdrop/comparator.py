"""How do two values compare, forgivingly?  For hosts and tests: `compare(value, operator, expected)`."""

from dripdrop.rules.comparator import OPERATORS, compare

__all__ = ["OPERATORS", "compare"]
