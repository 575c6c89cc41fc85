"""Do these rendered fields make a message that its channel can carry?"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from dripdrop.errors import Finding, Invalid
from dripdrop.rules.addresses import parse_address
from dripdrop.rules.definition import Step
from dripdrop.rules.message import Address, Attachment, Chat, Email, Message, Sms, Webhook

_ADDRESSED = frozenset({"email", "sms", "whatsapp", "telegram", "slack"})
_EMAIL_ADDRESSES = ("to", "cc", "bcc")


@dataclass(slots=True)
class Making:
    """Everything a message is made of; `unsubscribe_url` only where the message must carry it."""

    step: Step
    fields: Mapping[str, Any]
    data: Mapping[str, Any]
    now: datetime
    message_id: str | None
    default_from: str | None
    unsubscribe_url: str | None
    unsubscribe_mailto: str | None
    sms_max_chars: int | None


def make(making: Making) -> Message:
    """The message of the step's channel; raises `Invalid` with the code of the first rule it breaks."""
    return _MAKERS.get(making.step.channel, _chat)(making)


def in_data(step: Step, data: Mapping[str, Any]) -> list[str]:
    """The person's own addresses for this step, without display names; [] where the data has none."""
    if step.channel not in _ADDRESSED:
        return []
    found = data.get(step.config.get("recipient_key") or step.channel)
    several = found if isinstance(found, (list, tuple)) else (found,)
    texts = [str(each).strip() for each in several if isinstance(each, (str, int)) and str(each).strip()]
    if step.channel == "email":
        return [parse_address(each, "to").email if "<" in each else each for each in texts]
    return texts


def addressed(step: Step, fields: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    """Every address of rendered fields, in order; those of the data where `to` says nothing."""
    names = _EMAIL_ADDRESSES if step.channel == "email" else ("to", "chat_id")
    written = [each for name in names if name != "to" for each in _parts(fields.get(name))]
    direct = _parts(fields.get("to")) or (in_data(step, data) if "to" in names and not _written(fields) else [])
    if step.channel == "email":
        return [parse_address(each, "to").email for each in (*direct, *written)]
    return [*direct, *written]


def _written(fields: Mapping[str, Any]) -> bool:
    return bool(_parts(fields.get("chat_id")))


def sms_limit(step: Step, default: int) -> int:
    """How many characters a text of this step may have."""
    return step.config.get("sms_max_chars") or default


def measure(step: Step, body: str, most: int) -> None:
    """Raises `Invalid` (`sms_too_long`) for a text of more than `most` characters."""
    if len(body) > most:
        message, cure = (
            f"The text has {len(body)} characters; {most} are allowed.",
            "Shorten it, or raise sms_max_chars.",
        )
        finding = Finding("sms_too_long", step.key, message, cure)
        raise Invalid(message, cure=cure, code="sms_too_long", findings=[finding])


def _email(making: Making) -> Email:
    fields = making.fields
    subject = _required(making, "subject", "missing_subject", "An e-mail needs a subject.")
    text, html = _blank_is_none(fields.get("text")), _blank_is_none(fields.get("html"))
    if text is None and html is None:
        raise _invalid(making, "empty_body", "An e-mail needs text or html.", "Fill one of them.")
    to = _addresses("to", fields.get("to")) or _addresses("to", in_data(making.step, making.data))
    if not to:
        raise _no_recipient(making, "email")
    sender = next(map(_sender, _parts(fields.get("from") or making.default_from)), None)
    return Email(
        to=to,
        # A subject is one line, whatever the template's layout.
        subject=" ".join(subject.split()),
        text=text,
        html=html,
        sender=sender,
        cc=_addresses("cc", fields.get("cc")),
        bcc=_addresses("bcc", fields.get("bcc")),
        reply_to=_addresses("reply_to", fields.get("reply_to")),
        headers=_headers(making),
        attachments=tuple(_attachments(making)),
        date=making.now,
        message_id=making.message_id,
    )


def _headers(making: Making) -> tuple[tuple[str, str], ...]:
    """The author's headers, and List-Unsubscribe with its one-click companion (RFC 8058) unless he wrote his own."""
    written = tuple((str(name), str(value)) for name, value in (making.fields.get("headers") or {}).items())
    if making.step.config.get("unsubscribe") is False or any(n.lower() == "list-unsubscribe" for n, _ in written):
        return written
    ways = [making.unsubscribe_url, f"mailto:{making.unsubscribe_mailto}" if making.unsubscribe_mailto else None]
    listed = ", ".join(f"<{way}>" for way in ways if way)
    if not listed:
        return written
    one_click = (("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),)
    https = (making.unsubscribe_url or "").startswith("https://")
    return (*written, ("List-Unsubscribe", listed), *(one_click if https else ()))


def _attachments(making: Making) -> Iterable[Attachment]:
    for index, each in enumerate(making.fields.get("attachments") or ()):
        try:
            encoded, content = each.get("base64"), each.get("content", "")
            raw = b64decode(encoded, validate=True) if encoded is not None else content
            yield Attachment(
                str(each["filename"]),
                raw.encode() if isinstance(raw, str) else bytes(raw),
                each.get("content_type") or "application/octet-stream",
                each.get("content_id"),
            )
        except (AttributeError, KeyError, TypeError, ValueError, binascii.Error):
            cure = "Give it a filename, and content (text) or base64."
            raise _invalid(making, "attachment", f"Attachment {index} cannot be read.", cure) from None


def _sms(making: Making) -> Sms:
    body = _required(making, "body", "empty_body", "A text message needs a body.")
    if making.sms_max_chars is not None:
        measure(making.step, body, making.sms_max_chars)
    media = tuple(str(each) for each in making.fields.get("media_urls") or () if str(each).strip())
    sender = next(iter(_parts(making.fields.get("from"))), None)
    return Sms(to=_recipient(making, "missing_recipient"), body=body, sender=sender, media_urls=media)


def _webhook(making: Making) -> Webhook:
    fields = making.fields
    url = _blank_is_none(fields.get("url"))
    if url is None and "url" in fields:
        raise _invalid(making, "missing_url", "The webhook's url is empty.", "Fill it, or leave it to the adapter.")
    headers = tuple((str(name), str(value)) for name, value in (fields.get("headers") or {}).items())
    return Webhook(_payload(making), url, str(fields.get("method") or "POST").upper(), headers)


def _payload(making: Making) -> Mapping[str, Any]:
    payload = making.fields.get("payload", making.fields.get("body"))
    if isinstance(payload, str) and payload.strip():
        try:
            payload = orjson.loads(payload)
        except orjson.JSONDecodeError:
            raise _invalid(making, "payload", "The payload is not JSON.", "Write it as a mapping.") from None
    if payload is None or payload == "":
        return {}
    if not isinstance(payload, Mapping):
        raise _invalid(making, "payload", "The payload is not a JSON object.", "Write it as a mapping.")
    return payload


def _pubsub(making: Making) -> Chat:
    topic = _required(making, "topic", "missing_topic", "A pub/sub message needs a topic.")
    event = _required(making, "event", "missing_event", "A pub/sub message needs an event.")
    return Chat(topic, "", {"event": event, "payload": _payload(making)})


def _chat(making: Making) -> Chat:
    fields, channel = making.fields, making.step.channel
    text = _blank_is_none(fields.get("text")) or _blank_is_none(fields.get("body"))
    extra = {name: value for name, value in fields.items() if name not in ("to", "chat_id", "text", "body", "payload")}
    extra.update(_payload(making) if "payload" in fields else {})
    if text is None and channel in ("slack", "telegram", "whatsapp") and not (channel == "whatsapp" and extra):
        raise _invalid(making, "empty_body", f"A {channel} message needs text.", "Fill text.")
    if channel == "telegram":
        return Chat(_recipient(making, "missing_chat_id"), text or "", extra)
    if channel == "whatsapp":
        return Chat(_recipient(making, "missing_recipient"), text or "", extra)
    return Chat(next(iter(addressed(making.step, fields, making.data)), None), text or "", extra)


_MAKERS: Mapping[str, Callable[[Making], Message]] = {
    "email": _email,
    "sms": _sms,
    "webhook": _webhook,
    "pubsub": _pubsub,
}


def _recipient(making: Making, code: str) -> str:
    found = next(iter(addressed(making.step, making.fields, making.data)), None)
    if found is None:
        raise _no_recipient(making, making.step.channel, code)
    return found


def _no_recipient(making: Making, channel: str, code: str = "missing_recipient") -> Invalid:
    key = making.step.config.get("recipient_key") or channel
    return _invalid(making, code, "There is nobody to send it to.", f"Put {key} into the data, or write `to`.")


def _addresses(name: str, value: Any) -> tuple[Address, ...]:
    return tuple(parse_address(each, name) for each in _parts(value))


@lru_cache(maxsize=256)
def _sender(text: str) -> Address:
    """Who writes is the same for many messages; who reads is not, and is not kept."""
    return parse_address(text, "from")


def _parts(value: Any) -> list[str]:
    several = value if isinstance(value, (list, tuple)) else (value,)
    return [text for each in several if each is not None and (text := str(each).strip())]


def _blank_is_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value and not value.isspace() else None


def _required(making: Making, name: str, code: str, message: str) -> str:
    value = _blank_is_none(making.fields.get(name))
    if value is None:
        raise _invalid(making, code, message, f"Fill {name}.")
    return value


def _invalid(making: Making, code: str, message: str, cure: str) -> Invalid:
    return Invalid(message, cure=cure, code=code, findings=[Finding(code, making.step.key, message, cure)])
