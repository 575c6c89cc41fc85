"""Which octets is this e-mail? MIME by hand: safe against injection, the same bytes for the same message."""

from __future__ import annotations

import hashlib
import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Iterable, Sequence

from dripdrop.rules import mail_headers
from dripdrop.rules.addresses import parse_address, refuse, valid_address, wire_address
from dripdrop.rules.mail_headers import HARD, utf8
from dripdrop.rules.message import Address, Attachment, Email

__all__ = ["build", "envelope_recipients", "envelope_sender", "needs_smtputf8", "parse_address", "valid_address"]

_ASCII = bytes(range(128))
_TYPE = re.compile(
    r"(?!(?:multipart|message)/)[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*(?:; ?[ -~]{1,200})?"
)
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,200}")


def build(email: Email, *, boundary_seed: str, default_sender: Address | None = None, smtputf8: bool = False) -> bytes:
    """The message as it is handed to SMTP, with CRLF line ends and all in 7 bits; Bcc is never written.

    `boundary_seed` (the execution's id) makes the boundaries, so building twice gives equal bytes. Only with
    `smtputf8` may an address be non-ASCII before its @; the headers are then UTF-8.

    Raises `Invalid`; codes: `header_injection`, `header_twice`, `header_reserved`, `header_name`,
    `header_too_long`, `address`, `address_needs_smtputf8`, `sender_missing`, `not_encodable`, `message_id`,
    `naive_date`, `attachment_type`, `content_id`.
    """
    headers = _headers(email, default_sender, smtputf8)
    body = _body(email, boundary_seed)
    tail = b"" if body.endswith(b"\r\n") else b"\r\n"
    return b"".join((headers.encode("utf-8" if smtputf8 else "ascii"), body, tail))


def envelope_sender(email: Email, default_sender: Address | None, *, smtputf8: bool = False) -> str:
    """The address bounces go to, as SMTP carries it."""
    return wire_address(_sender(email, default_sender).email, "sender", smtputf8=smtputf8)


def envelope_recipients(email: Email, *, smtputf8: bool = False) -> tuple[str, ...]:
    """Every address this e-mail goes to (to, cc, bcc), each once, in that order, as SMTP carries it."""
    fields = (("to", email.to), ("cc", email.cc), ("bcc", email.bcc))
    every = (wire_address(each.email, path, smtputf8=smtputf8) for path, several in fields for each in several)
    return tuple(dict.fromkeys(every))


def needs_smtputf8(email: Email, default_sender: Address | None = None) -> bool:
    """Whether an address has a non-ASCII local part, which only an SMTPUTF8 server takes."""
    sender = email.sender or default_sender
    every = (*email.to, *email.cc, *email.bcc, *email.reply_to, *((sender,) if sender else ()))
    return any(not each.email.isascii() and not each.email.rpartition("@")[0].isascii() for each in every)


def _sender(email: Email, default: Address | None) -> Address:
    sender = email.sender or default
    if sender is None:
        refuse("sender_missing", "sender", "The e-mail has no sender.", "Set `from` in the step or in the adapter.")
    return sender


def _headers(email: Email, default: Address | None, smtputf8: bool) -> str:
    lists: list[tuple[str, Sequence[Address], str]] = [
        ("From", (_sender(email, default),), "sender"),
        ("To", email.to, "to"),
        ("Cc", email.cc, "cc"),
        ("Reply-To", email.reply_to, "reply_to"),
    ]
    out = [
        mail_headers.address_list(name, addresses, path, smtputf8=smtputf8)
        for name, addresses, path in lists
        if addresses
    ]
    out.append(mail_headers.subject(email.subject))
    if email.date is not None:
        out.append(mail_headers.date(email.date))
    if email.message_id:
        out.append(mail_headers.message_id(email.message_id))
    if email.headers:
        out.append(mail_headers.custom(email.headers))
    out.append("MIME-Version: 1.0\r\n")
    return "".join(out)


def _body(email: Email, seed: str) -> bytes:
    """The outermost part, its own headers included: mixed(alternative(text, related(html, inline)), attachments)."""
    inline = [each for each in email.attachments if email.html is not None and each.content_id is not None]
    attached = [each for each in email.attachments if email.html is None or each.content_id is None]
    texts: list[bytes] = []
    if email.text is not None or email.html is None:
        texts.append(_text("plain", email.text or "", "text"))
    html = _text("html", email.html, "html") if email.html is not None else None
    if html is not None and not (texts or email.attachments):
        return html
    if html is None and not attached:
        return texts[0]
    boundary = _boundary(seed, texts if html is None else [*texts, html])
    if html is not None:
        if inline:
            parts = [html, *map(_attachment, inline)]
            html = _multipart('related; type="text/html"', parts, boundary + "r")
        texts.append(html)
    body = texts[0] if len(texts) == 1 else _multipart("alternative", texts, boundary + "a")
    return _multipart("mixed", [body, *map(_attachment, attached)], boundary + "m") if attached else body


def _boundary(seed: str, parts: Iterable[bytes]) -> str:
    """`=_` cannot occur in quoted-printable or base64; plain text is looked through."""
    digest = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()
    while any(f"=_{digest[:32]}".encode("ascii") in part for part in parts):
        digest = hashlib.sha256(digest.encode("ascii")).hexdigest()
    return f"=_{digest[:32]}"


def _multipart(subtype: str, parts: Sequence[bytes], boundary: str) -> bytes:
    rule = f"--{boundary}".encode("ascii")
    head = f'Content-Type: multipart/{subtype};\r\n boundary="{boundary}"\r\n\r\n'.encode("ascii")
    inner = b"".join(b"%s\r\n%s\r\n" % (rule, part) for part in parts)
    return b"%s%s%s--\r\n" % (head, inner, rule)


def _text(subtype: str, text: str, path: str) -> bytes:
    encoding, body = _encoded(text, path)
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode("ascii") + body


def _encoded(text: str, path: str) -> tuple[str, bytes]:
    """(Content-Transfer-Encoding, octets): 7bit where that is exact, else whichever of the two is shorter."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii() and "\0" not in text and (len(text) <= HARD or max(map(len, text.split("\n"))) <= HARD):
        return "7bit", text.replace("\n", "\r\n").encode("ascii")
    data = utf8(text, path)
    foreign = len(data.translate(None, _ASCII))
    if 6 * foreign > len(data):
        return "base64", _base64(data.replace(b"\n", b"\r\n"))
    return "quoted-printable", b2a_qp(data, istext=True).replace(b"\n", b"\r\n")


def _base64(data: bytes) -> bytes:
    flat = b2a_base64(data, newline=False)
    return b"\r\n".join([flat[at : at + 76] for at in range(0, len(flat), 76)])


def _attachment(attachment: Attachment) -> bytes:
    content_type = attachment.content_type.lower() if ";" not in attachment.content_type else attachment.content_type
    if not _TYPE.fullmatch(content_type):
        refuse(
            "attachment_type",
            "attachments",
            "An attachment has a content type that cannot be attached.",
            "Use a type such as application/pdf or application/octet-stream.",
        )
    head = f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: base64\r\n"
    kind = "attachment"
    if attachment.content_id is not None:
        kind = "inline"
        content_id = attachment.content_id.strip("<>")
        if not _CONTENT_ID.fullmatch(content_id):
            refuse("content_id", "attachments", "A Content-ID has forbidden characters.", "Use letters and digits.")
        head += f"Content-ID: <{content_id}>\r\n"
    head += mail_headers.disposition(kind, attachment.filename, "attachments.filename")
    return head.encode("ascii") + b"\r\n" + _base64(attachment.content)
