"""How does a header of an e-mail stand on its lines? (RFC 5322 folding, RFC 2047 words, RFC 2231 parameters)"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from dripdrop.rules.addresses import refuse, refuse_breaks, wire_address
from dripdrop.rules.message import Address

LINE = 78
HARD = 998
_WORD = 75
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_NAME = re.compile(r"[!-9;-~]{1,76}")
_TOKEN_CHARS = "!#$&+-.^_`{}~"
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_OURS = frozenset(
    ("from", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version", "return-path")
)


def utf8(text: str, path: str) -> bytes:
    """The octets of a text; half a surrogate pair cannot be sent and is refused."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        refuse("not_encodable", path, f"{path} holds half a character (a lone surrogate).", "Repair the text.")


def fold(name: str, words: Sequence[str]) -> str:
    """One header, `words` joined by single spaces and broken before a word where the line would pass 78."""
    line = f"{name}: {' '.join(words)}"
    if len(line) <= LINE:
        return line + "\r\n"
    lines: list[str] = []
    line = f"{name}: {words[0]}"
    for word in words[1:]:
        # An empty word is part of a run of spaces: a line of spaces alone would end the header for some readers.
        if word and len(line) + 1 + len(word) > LINE:
            lines.append(line)
            line = ""
        line += " " + word
    lines.append(line)
    if any(len(each) > HARD for each in lines):
        refuse("header_too_long", name, f"{name} has a line of more than {HARD} characters.", "Shorten it.")
    return "\r\n".join(lines) + "\r\n"


def encoded_words(text: str, path: str, *, room: int = _WORD) -> list[str]:
    """RFC 2047: each word at most 75 characters (the first at most `room`), no character split between two."""
    data = utf8(text, path)
    words: list[str] = []
    start = 0
    while start < len(data):
        end = min(start + max((min(room, _WORD) - 12) // 4 * 3, 6), len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{b2a_base64(data[start:end], newline=False).decode('ascii')}?=")
        start = end
        room = _WORD
    return words


def subject(text: str) -> str:
    """The Subject header; what would not come back the same as plain text is encoded."""
    refuse_breaks(text, "subject")
    if not text:
        return "Subject:\r\n"
    plain = text.isascii() and text.isprintable() and "=?" not in text and text[0] != " " and text[-1] != " "
    if plain and len(text) <= LINE - 9:
        return f"Subject: {text}\r\n"
    if plain and "  " not in text:
        words = text.split(" ")
        if len(words[0]) <= LINE - 9 and max(map(len, words)) < LINE:
            return fold("Subject", words)
    return fold("Subject", encoded_words(text, "subject", room=LINE - 9))


def custom(headers: Sequence[tuple[str, str]]) -> str:
    """The author's own headers. Refused by name: set twice, one of ours, or not a header name.

    ASCII is left as it is (a long List-Unsubscribe must not be encoded), only folded at its spaces.
    """
    seen: set[str] = set()
    out: list[str] = []
    for name, value in headers:
        lower = name.lower()
        path = f"headers.{lower}" if _NAME.fullmatch(name) else "headers"
        if path == "headers":
            refuse("header_name", path, "A header name has characters that are not allowed.", "Use letters and dashes.")
        if lower in _OURS or lower.startswith("content-"):
            refuse("header_reserved", path, f"The header {name} is written by us.", "Use the message's own field.")
        if lower in seen:
            refuse("header_twice", path, f"The header {name} is set twice.", "Set it once.")
        seen.add(lower)
        refuse_breaks(value, path)
        value = value.strip(" \t")
        if value.replace("\t", " ").isprintable() and value.isascii():
            out.append(fold(name, value.split(" ")))
        else:
            out.append(fold(name, encoded_words(value, path, room=max(LINE - 2 - len(name), 24))))
    return "".join(out)


def address_list(name: str, addresses: Sequence[Address], path: str, *, smtputf8: bool = False) -> str:
    """A header of mailboxes, such as To."""
    words: list[str] = []
    for index, each in enumerate(addresses):
        words += _mailbox(each, f"{path}[{index}]" if index else path, LINE - 2 - len(name), smtputf8)
        words[-1] += ","
    words[-1] = words[-1][:-1]
    return fold(name, words)


def _mailbox(address: Address, path: str, room: int, smtputf8: bool) -> list[str]:
    email = wire_address(address.email, path, smtputf8=smtputf8)
    name = address.name
    if not name:
        return [email]
    refuse_breaks(name, path)
    name = " ".join(name.split())
    if not name.isascii() or not name.isprintable() or "=?" in name or len(name) > 60:
        return [*encoded_words(name, path, room=room), f"<{email}>"]
    if not _ATOMS.fullmatch(name):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return [name, f"<{email}>"] if name else [f"<{email}>"]


def date(moment: datetime) -> str:
    """The Date header in UTC (RFC 5322)."""
    if moment.tzinfo is None:
        refuse("naive_date", "date", "The date has no time zone.", "Use an aware datetime.")
    at = moment.astimezone(UTC)
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    return f"Date: {day}, {at.day:02} {month} {at.year} {at.hour:02}:{at.minute:02}:{at.second:02} +0000\r\n"


def message_id(value: str) -> str:
    """The Message-ID header; `value` with or without angle brackets."""
    bare = value.strip("<>")
    if not bare.isascii() or not bare.isprintable() or " " in bare or "<" in bare or ">" in bare:
        refuse("message_id", "message_id", "The Message-ID has spaces or other forbidden characters.", "Use id@domain.")
    return fold("Message-ID", [f"<{bare}>"])


def disposition(kind: str, filename: str, path: str) -> str:
    """Content-Disposition with the file's name: quoted where it is short ASCII, else RFC 2231."""
    refuse_breaks(filename, path)
    if filename.isascii() and filename.isprintable() and len(filename) <= 40 and "=?" not in filename:
        escaped = filename.replace("\\", "\\\\").replace('"', '\\"')
        return f'Content-Disposition: {kind}; filename="{escaped}"\r\n'
    first, *rest = _extended(filename, path)
    if not rest:
        return f"Content-Disposition: {kind};\r\n filename*=utf-8''{first}\r\n"
    lines = [f" filename*0*=utf-8''{first}", *(f" filename*{n}*={piece}" for n, piece in enumerate(rest, 1))]
    return f"Content-Disposition: {kind};\r\n" + ";\r\n".join(lines) + "\r\n"


def _extended(filename: str, path: str) -> list[str]:
    """Percent-encoded pieces of at most 54 characters, whole characters each."""
    utf8(filename, path)
    pieces = [""]
    for character in filename:
        encoded = quote(character, safe=_TOKEN_CHARS)
        if len(pieces[-1]) + len(encoded) > 54:
            pieces.append("")
        pieces[-1] += encoded
    return pieces
