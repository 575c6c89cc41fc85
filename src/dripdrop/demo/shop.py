"""What does the demo's own application know that stands in nobody's data?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Shop:
    """The hooks of the sequence `trial`, as a host writes them."""

    hooks = ("seats_left",)

    def handle_hook(self, name: str, enrollment: Mapping[str, Any], context: Mapping[str, Any]) -> int:
        """How many seats of the plan are empty: one is the person's own."""
        return int(enrollment["data"]["seats"]) - 1
