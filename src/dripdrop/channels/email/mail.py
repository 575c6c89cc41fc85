"""What does an e-mail API have to be told, whatever it calls it?"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NoReturn

from dripdrop.contracts import DELIVERY_KEY, Config, Delivery
from dripdrop.rules import mail_headers
from dripdrop.rules.addresses import parse_address, refuse, refuse_breaks, wire_address
from dripdrop.rules.message import Address, Attachment, Email

_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff -]*")


@dataclass(frozen=True, slots=True)
class Mail:
    """One e-mail, complete and checked: every address as the wire has it, every header on one line.

    `headers` are the author's own and, where there is one, no Message-ID; that stands in `message_id`, without
    brackets. `inline` has the images that the HTML shows. `metadata` holds our own id under `DELIVERY_KEY`. `options`
    are the provider's own settings, passed through.
    """

    id: str
    key: str
    sender: Address
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    subject: str
    text: str | None
    html: str | None
    headers: tuple[tuple[str, str], ...]
    attachments: tuple[Attachment, ...]
    inline: tuple[Attachment, ...]
    tags: tuple[str, ...]
    metadata: Mapping[str, str]
    options: Mapping[str, Any]
    message_id: str | None
    date: datetime | None

    def features(self) -> Iterable[str]:
        """What a provider must be able to do to carry this one, by the names that `lacks` uses."""
        wanted = {
            "cc": bool(self.cc),
            "bcc": bool(self.bcc),
            "reply_to": bool(self.reply_to),
            "several_reply_to": len(self.reply_to) > 1,
            "several_to": len(self.to) > 1,
            "headers": bool(self.headers),
            "attachments": bool(self.attachments or self.inline),
            "inline_images": bool(self.inline),
            "tags": bool(self.tags),
            "several_tags": len(self.tags) > 1,
            "metadata": len(self.metadata) > 1,
            "provider_options": bool(self.options),
        }
        return (feature for feature, used in wanted.items() if used)


def read(delivery: Delivery, config: Config, *, lacks: frozenset[str] = frozenset()) -> Mail:
    """The e-mail of a delivery for a provider that `lacks` these features.

    Tags, metadata and `provider_options` come from the adapter's config, then from the step's. Raises `Invalid`:
    `unsupported` (its finding's path is the feature), `not_an_email`, `sender_missing`, `recipient_missing`, and
    whatever makes an address or a header malformed.
    """
    email = delivery.message
    if not isinstance(email, Email):
        refuse("not_an_email", "message", "Only an e-mail can be sent here.", "Use a step of the channel email.")
    own = delivery.step.config
    mail = Mail(
        id=str(delivery.id),
        key=delivery.idempotency_key,
        sender=_sender(email, config),
        to=_wired(email.to, "to"),
        cc=_wired(email.cc, "cc"),
        bcc=_wired(email.bcc, "bcc"),
        reply_to=_wired(email.reply_to, "reply_to"),
        subject=_line(email.subject, "subject"),
        text=email.text,
        html=email.html,
        headers=_headers(email),
        attachments=tuple(_attached(each) for each in email.attachments if not _shown(each, email)),
        inline=tuple(_attached(each) for each in email.attachments if _shown(each, email)),
        tags=tuple(dict.fromkeys((*_texts(config.get("tags")), *_texts(own.get("tags"))))),
        metadata={**_pairs(config.get("metadata")), **_pairs(own.get("metadata")), DELIVERY_KEY: str(delivery.id)},
        options={**(config.get("provider_options") or {}), **(own.get("provider_options") or {})},
        message_id=_message_id(email),
        date=email.date,
    )
    if not mail.to:
        refuse("recipient_missing", "to", "The e-mail has no recipient.", "Give it a `to`.")
    for feature in mail.features():
        if feature in lacks:
            unsupported(feature)
    return mail


def unsupported(feature: str) -> NoReturn:
    """Refuse by name what a provider cannot carry: nothing is dropped in silence."""
    refuse("unsupported", feature, f"The provider cannot carry {feature}.", "Leave it out, or use another provider.")


def mailbox(address: Address) -> str:
    """`Ann Lee <ann@example.org>` as APIs read it: names in Unicode, quoted where they have special characters."""
    name = address.name
    if not name:
        return address.email
    if not _ATOMS.fullmatch(name):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{name} <{address.email}>"


def mailboxes(addresses: Iterable[Address]) -> str:
    """Several, separated by commas."""
    return ", ".join(map(mailbox, addresses))


def base64_of(attachment: Attachment) -> str:
    """The content as base64 on one line."""
    return b64encode(attachment.content).decode("ascii")


def add_options(payload: dict[str, Any], options: Mapping[str, Any], ours: Iterable[str] = ()) -> dict[str, Any]:
    """The payload with the provider's own settings; one may not replace what the message says, nor name one of `ours`.

    So no option can send a message to somebody whose suppression nobody looked up.
    """
    taken = {name.lower() for name in (*payload, *ours)}
    for name, value in options.items():
        if str(name).lower() in taken:
            refuse(
                "provider_option",
                f"provider_options.{name}",
                f"The option {name} is written by us.",
                "Use the message's own field.",
            )
        payload[str(name)] = value
    return payload


def _sender(email: Email, config: Config) -> Address:
    default = config.get("from")
    if email.sender is not None:
        (sender,) = _wired((email.sender,), "sender")
        return sender
    if not default:
        refuse("sender_missing", "sender", "The e-mail has no sender.", "Set `from` in the step or in the adapter.")
    (sender,) = _wired((parse_address(str(default), "from"),), "from")
    return sender


def _wired(addresses: Iterable[Address], path: str) -> tuple[Address, ...]:
    """Domains in ASCII, names on one line; each address once."""
    found: dict[str, Address] = {}
    for number, each in enumerate(addresses):
        place = f"{path}[{number}]" if number else path
        email = wire_address(each.email, place)
        refuse_breaks(each.name, place)
        found.setdefault(email, Address(email, " ".join(each.name.split())))
    return tuple(found.values())


def _headers(email: Email) -> tuple[tuple[str, str], ...]:
    if not email.headers:
        return ()
    mail_headers.custom(email.headers)  # refuses what cannot stand there
    return tuple((name, _written(name, value.strip(" \t"))) for name, value in email.headers)


def _written(name: str, value: str) -> str:
    return value if value.isascii() else " ".join(mail_headers.encoded_words(value, f"headers.{name.lower()}"))


def _message_id(email: Email) -> str | None:
    if not email.message_id:
        return None
    mail_headers.message_id(email.message_id)
    return email.message_id.strip("<>")


def _line(text: str, path: str) -> str:
    refuse_breaks(text, path)
    return text


def _shown(attachment: Attachment, email: Email) -> bool:
    return attachment.content_id is not None and email.html is not None


def _attached(attachment: Attachment) -> Attachment:
    refuse_breaks(attachment.filename, "attachments.filename")
    refuse_breaks(attachment.content_type, "attachments.content_type")
    content_id = attachment.content_id
    if content_id is None:
        return attachment
    refuse_breaks(content_id, "attachments.content_id")
    return replace(attachment, content_id=content_id.strip("<>"))


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    several = (value,) if isinstance(value, str) else value
    return tuple(_line(str(each), "tags") for each in several if str(each).strip())


def _pairs(value: Any) -> dict[str, str]:
    return {str(name): _line(str(each), "metadata") for name, each in (value or {}).items() if each is not None}
