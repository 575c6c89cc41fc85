"""Is this a mail address, and how does it stand on the wire?"""

from __future__ import annotations

import re
from typing import NoReturn

from dripdrop.errors import Finding, Invalid
from dripdrop.rules.message import Address

# Dot-atoms only: quoted local parts ("a b"@example.com) are legal, refused by most providers, and a way to smuggle.
_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"(?:(?:{_LABEL}\.)+(?!\d+\Z){_LABEL}|localhost)"
_ASCII = re.compile(rf"({_LOCAL})@({_DOMAIN})")
_ASCII_DOMAIN = re.compile(_DOMAIN)
_UNICODE_LOCAL = re.compile(_LOCAL.replace("A-Za-z0-9", r"A-Za-z0-9\u00a1-\U0010ffff"))
_BREAK = re.compile(r"[\r\n\0]")
_NAMED = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^<>"]*?))\s*<\s*([^<>\s]+)\s*>\s*')
_ESCAPED = re.compile(r"\\(.)")


def refuse(code: str, path: str, message: str, cure: str) -> NoReturn:
    """Raise `Invalid` with one finding; the text never repeats the offending value, which may be personal."""
    raise Invalid(message, cure=cure, code=code, findings=[Finding(code, path, message, cure)])


def refuse_breaks(value: str, path: str) -> None:
    """CR, LF and NUL would start a header of somebody else's choice."""
    if _BREAK.search(value):
        refuse("header_injection", path, f"{path} contains a line break or NUL.", "Remove it: one line only.")


def wire_address(email: str, path: str = "address", *, smtputf8: bool = False) -> str:
    """The address as SMTP and headers carry it: the domain in ASCII (punycode), the local part as given.

    Raises `Invalid`: `header_injection`, `address` (broken), `address_needs_smtputf8` (non-ASCII before the @).
    """
    match = _ASCII.fullmatch(email)
    if match is not None and len(email) <= 254 and match.end(1) <= 64:
        return email
    refuse_breaks(email, path)
    local, _, domain = email.rpartition("@")
    ascii_domain = domain_to_ascii(domain)
    shaped = email.isprintable() and _UNICODE_LOCAL.fullmatch(local) and _octets(local) <= 64
    if ascii_domain is None or not shaped:
        refuse("address", path, f"{path} is not a mail address.", "Write it as name@example.com.")
    if not local.isascii() and not smtputf8:
        refuse(
            "address_needs_smtputf8",
            path,
            f"{path} has non-ASCII characters before the @, which this way of sending cannot carry.",
            "Use an ASCII address of the same person.",
        )
    if _octets(local) + 1 + len(ascii_domain) > 254:
        refuse("address", path, f"{path} is longer than 254 octets.", "Write it as name@example.com.")
    return f"{local}@{ascii_domain}"


def valid_address(text: str, *, smtputf8: bool = False) -> bool:
    """Whether a message could be sent there: no display name, no surrounding space, a real domain (or localhost)."""
    try:
        wire_address(text, smtputf8=smtputf8)
    except Invalid:
        return False
    return True


def parse_address(text: str, path: str = "address") -> Address:
    """`Name <a@b.c>`, `"Last, First" <a@b.c>`, `<a@b.c>` or `a@b.c`; raises `Invalid` (`address`) for anything else."""
    refuse_breaks(text, path)
    bare = text.strip()
    named = _NAMED.fullmatch(bare) if len(bare) <= 1_000 else None
    if named is None:
        wire_address(bare, path, smtputf8=True)
        return Address(bare)
    quoted, plain, email = named.groups()
    wire_address(email, path, smtputf8=True)
    return Address(email, _ESCAPED.sub(r"\1", quoted) if quoted is not None else plain)


def domain_to_ascii(domain: str) -> str | None:
    """The domain as DNS knows it (IDNA 2008), or None where there can be no such domain."""
    if not domain.isascii():
        import idna  # a large table, needed by few messages

        try:
            domain = idna.encode(domain, uts46=True, std3_rules=True).decode("ascii")
        except UnicodeError:
            return None
    return domain if len(domain) <= 253 and _ASCII_DOMAIN.fullmatch(domain) else None


def _octets(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
