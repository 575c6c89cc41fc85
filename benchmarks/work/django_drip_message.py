"""Which facts does a letter of django-drip-campaigns see? The same as everybody's."""

from __future__ import annotations

from typing import Any

from drip.drips import DripMessage

from benchmarks.work import letter


class LetterMessage(DripMessage):  # type: ignore[misc]
    """The package's own message with the letter's data in its context."""

    def build_context(self) -> dict[str, Any]:
        return {**super().build_context(), **letter.data(int(self.user.username))}
