"""Who got what in this test?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dripdrop.rules.message import Delivery, Email
from dripdrop.rules.outcome import Accepted, Neither, OnDoubt, Outcome


class Outbox:
    """What was accepted, in order; `subjects("ann@example.org")` is what one person got."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []

    def subjects(self, recipient: str | None = None) -> list[str]:
        """Subjects (or step keys, where there is none) sent to one recipient, or to all."""
        return [_title(each) for each in self.deliveries if recipient in (None, each.recipient)]

    def steps(self, recipient: str | None = None) -> list[str]:
        """Step keys sent to one recipient, or to all."""
        return [each.step.key for each in self.deliveries if recipient in (None, each.recipient)]

    def __len__(self) -> int:
        return len(self.deliveries)


class FakeProvider:
    """A provider that keeps what it is given. `answers` decides: a function of the delivery, or None to accept.

    A receiver that de-duplicates (`dedupe`) drops a second delivery with the same key, as an idempotent provider does.
    """

    def __init__(
        self,
        channel: str = "email",
        name: str = "fake",
        *,
        on_doubt: OnDoubt | None = None,
        answers: Callable[[Delivery], Outcome | None] | None = None,
        dedupe: bool = False,
    ) -> None:
        self.channel = channel
        self.name = name
        self.on_doubt: OnDoubt = on_doubt if on_doubt is not None else Neither()
        self.answers = answers
        self.dedupe = dedupe
        self.outbox = Outbox()
        self.calls: list[Delivery] = []
        self.configs: list[Mapping[str, Any]] = []
        self._seen: set[str] = set()

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        return []

    async def deliver(self, delivery: Delivery, config: Mapping[str, Any]) -> Outcome:
        self.calls.append(delivery)
        self.configs.append(config)
        answer = self.answers(delivery) if self.answers is not None else None
        outcome: Outcome = answer if answer is not None else Accepted(f"{self.name}-{delivery.id}")
        if isinstance(outcome, Accepted):
            self.take(delivery)
        return outcome

    def take(self, delivery: Delivery) -> None:
        """The message is in the person's hands."""
        if self.dedupe and delivery.idempotency_key in self._seen:
            return
        self._seen.add(delivery.idempotency_key)
        self.outbox.deliveries.append(delivery)


def _title(delivery: Delivery) -> str:
    message = delivery.message
    return message.subject if isinstance(message, Email) else delivery.step.key
