"""Which of its alternatives does a text take for this seed?"""

from dripdrop.rules.spintax import expand, problems

__all__ = ["expand", "problems"]
