"""Which message came in, by the fields that an e-mail API makes of it?"""

from __future__ import annotations

from collections.abc import Iterable
from email import policy
from email.parser import BytesHeaderParser
from email.utils import parseaddr
from typing import Any

from dripdrop.channels.bodies import message_ids
from dripdrop.rules.feedback import InboundMessage

Pairs = tuple[tuple[str, str], ...]


def from_headers(headers: Pairs, **fields: Any) -> InboundMessage:
    """The message with these headers and fields; what the fields leave out is taken from the headers."""
    known = {name.lower(): value for name, value in reversed(headers)}
    found: dict[str, Any] = {
        "sender": bare(known.get("from", "")),
        "to": bare(known.get("to", "")),
        "subject": known.get("subject") or None,
        "message_id": next(iter(message_ids(known.get("message-id"))), None),
        "in_reply_to": next(iter(message_ids(known.get("in-reply-to"))), None),
        "references": message_ids(known.get("references")),
    }
    return InboundMessage(headers=headers, **{**found, **{name: value for name, value in fields.items() if value}})


def bare(address: str | None) -> str:
    """The address alone of `Ann <ann@example.org>`; "" where there is none."""
    return parseaddr(address or "")[1]


def header_block(raw: bytes) -> Pairs:
    """The headers of a block of them, unfolded and decoded, in their order."""
    parsed = BytesHeaderParser(policy=policy.compat32).parsebytes(raw)
    return pairs((name, " ".join(str(value).split())) for name, value in parsed.items())


def pairs(found: Any) -> Pairs:
    """Whatever is a list of (name, value) as texts; what is not is left out."""
    several: Iterable[Any] = found if not isinstance(found, (str, bytes)) and hasattr(found, "__iter__") else ()
    two = (each for each in several if isinstance(each, (list, tuple)) and len(each) == 2)
    return tuple((str(name), str(value)) for name, value in two)
