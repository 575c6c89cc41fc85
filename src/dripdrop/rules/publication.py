"""What does a subscriber of a topic get?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from dripdrop.rules.addresses import refuse
from dripdrop.rules.message import Chat, Delivery


@dataclass(frozen=True, slots=True)
class Publication:
    """A message for whoever listens; `id` is the same each time it is published, so a listener may drop a second."""

    topic: str
    id: str
    event: str
    payload: Mapping[str, Any]
    sequence: str
    step: str

    def body(self) -> bytes:
        """The whole as a JSON object."""
        return orjson.dumps(self, option=orjson.OPT_NON_STR_KEYS)


def publication(delivery: Delivery) -> Publication:
    """What a delivery of the channel pubsub says; raises `Invalid`: `wrong_message`, `missing_topic`, `payload`."""
    message = delivery.message
    if not isinstance(message, Chat):
        refuse("wrong_message", "message", "Only a Chat can be published.", "Use a step of the channel pubsub.")
    if not message.to:
        refuse("missing_topic", "topic", "The message has no topic.", "Give the step a topic.")
    payload = message.extra.get("payload")
    made = Publication(
        topic=message.to,
        id=str(delivery.id),
        event=str(message.extra.get("event") or "dripdrop.message"),
        payload=dict(payload) if isinstance(payload, Mapping) else {"text": message.text},
        sequence=delivery.enrollment.sequence_key,
        step=delivery.step.key,
    )
    try:
        made.body()
    except (TypeError, ValueError):
        refuse("payload", "payload", "The payload is no JSON.", "Use JSON values only.")
    return made
