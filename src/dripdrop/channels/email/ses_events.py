"""What does an event of Amazon SES say, and of whom?

By a configuration set (`eventType`) and by an identity (`notificationType`) the shapes are the same:
https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html, .../notification-contents.html.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from dripdrop.channels import bodies
from dripdrop.channels.answers import saying
from dripdrop.channels.bodies import child, moment, string
from dripdrop.channels.email import bounces
from dripdrop.channels.email.inbound import bare, from_headers
from dripdrop.rules.feedback import Feedback, InboundMessage, Severity, Status

# Where an event tells its own story, and where in that it lists whom it is about.
_STORIES: Mapping[str, tuple[str, str | None]] = {
    "Bounce": ("bounce", "bouncedRecipients"),
    "Complaint": ("complaint", "complainedRecipients"),
    "Delivery": ("delivery", "recipients"),
    "DeliveryDelay": ("deliveryDelay", "delayedRecipients"),
    "Send": ("send", None),
    "Reject": ("reject", None),
    "Rendering Failure": ("failure", None),
    "Open": ("open", None),
    "Click": ("click", None),
    "Subscription": ("subscription", None),
}
_BY_ONE = frozenset(("Open", "Click", "Subscription", "Received"))
_STATUSES: Mapping[str, tuple[Status, Severity | None]] = {
    "Complaint": ("complained", None),
    "Delivery": ("delivered", None),
    "DeliveryDelay": ("deferred", "temporary"),
    "Send": ("accepted", None),
    "Reject": ("rejected", None),
    "Rendering Failure": ("rejected", None),
    "Open": ("opened", None),
    "Click": ("clicked", None),
}


def kind(payload: Mapping[str, Any]) -> str:
    """Which event a payload carries; "" for what is none."""
    event = payload.get("event")
    return string(event, "eventType") or string(event, "notificationType") or ""


def split(event: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What tells the payloads of one event apart: the recipient, with what is said of it, or the topic it left."""
    what = kind({"event": event})
    place, listed = _STORIES.get(what, ("", None))
    told = child(event, place, listed) if listed else child(event, "mail", "destination")
    people = [found for each in (told if isinstance(told, list) else ()) if (found := _person(each))]
    if what in _BY_ONE and len(people) > 1:
        people = []  # SES does not say who of them it was
    if what == "Subscription":
        return [{**change, **(people[0] if people else {})} for change in _changes(child(event, place))] or [{}]
    return people or [{}]


def feedback(payload: Mapping[str, Any]) -> Feedback | None:
    """The event in our words; None for what is none, and for mail that came in."""
    what, event = kind(payload), payload.get("event")
    told = child(event, _STORIES[what][0]) if what in _STORIES else None
    status, severity = _STATUSES.get(what, (None, None))
    kinds = (string(told, "bounceType") or "", string(told, "bounceSubType") or "")
    if what == "Bounce":
        status, severity = bounces.meaning(*kinds)
    if what == "Subscription":
        status = {"left": "unsubscribed", "joined": "resubscribed"}.get(str(payload.get("change")))  # type: ignore[assignment]
    if status is None or string(told, "complaintFeedbackType") == "not-spam":
        return None
    said = (
        string(payload, "said"),
        *kinds,
        *(string(told, name) for name in ("complaintFeedbackType", "complaintSubType", "delayType", "reason")),
    )
    return Feedback(
        status,
        string(payload, "recipient"),
        moment(child(told, "timestamp")) or moment(child(event, "mail", "timestamp")),
        severity,
        event=what,
        reason=saying(" ".join(each for each in said if each)),
        topic=string(payload, "topic"),
        user_agent=string(told, "userAgent"),
        ip=string(told, "ipAddress"),
        url=string(told, "link"),
    )


def message(payload: Mapping[str, Any]) -> InboundMessage:
    """The mail that came in; whole where the receipt rule's action is SNS, its headers alone where it is another."""
    event = payload.get("event")
    mail, written = child(event, "mail"), child(event, "mail", "headers")
    several = written if isinstance(written, list) else []
    sender, to = child(mail, "commonHeaders", "from"), child(event, "receipt", "recipients")
    return from_headers(
        tuple((string(each, "name") or "", string(each, "value") or "") for each in several),
        sender=bare(_first(sender)) or bare(string(mail, "source")),
        to=bare(_first(to)),
        received_at=moment(child(mail, "timestamp")),
        subject=string(mail, "commonHeaders", "subject"),
        message_id=next(iter(bodies.message_ids(string(mail, "commonHeaders", "messageId"))), None),
        provider_message_id=string(mail, "messageId"),
        raw=_content(event),
    )


def _changes(told: Any) -> Iterator[dict[str, Any]]:
    """Each topic that somebody left or joined, or all of them at once."""
    new, old = child(told, "newTopicPreferences"), child(told, "oldTopicPreferences")
    if child(new, "unsubscribeAll") is True:
        yield {"change": "left"}
        return
    if child(old, "unsubscribeAll") is True:
        yield {"change": "joined"}
    before, after = _topics(old), _topics(new)
    for topic, chosen in after.items():
        if chosen != before.get(topic) and chosen in ("OptIn", "OptOut"):
            yield {"topic": topic, "change": "left" if chosen == "OptOut" else "joined"}


def _topics(preferences: Any) -> dict[str, str]:
    told = child(preferences, "topicSubscriptionStatus")
    several = told if isinstance(told, list) else []
    return {string(each, "topicName") or "": string(each, "subscriptionStatus") or "" for each in several}


def _person(told: Any) -> dict[str, Any]:
    """A recipient, as an address or as an object that says more of it; {} for what is neither."""
    address = bare(told if isinstance(told, str) else string(told, "emailAddress"))
    return {"recipient": address, "said": string(told, "status")} if address else {}


def _first(several: Any) -> str:
    return str(several[0]) if isinstance(several, list) and several else ""


def _content(event: Any) -> bytes | None:
    content = child(event, "content")
    if not isinstance(content, str):
        return None
    if string(event, "receipt", "action", "encoding") == "BASE64":
        try:
            return base64.b64decode(content)
        except binascii.Error:
            return None
    return content.encode("utf-8", "surrogateescape")
