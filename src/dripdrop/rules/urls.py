"""May we call this URL? The part that needs no resolver: shape, scheme, host, and which addresses are the world's."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal, NoReturn, TypeAlias
from urllib.parse import quote

from dripdrop.errors import Finding, Invalid
from dripdrop.rules import address_blocks

IpAddress: TypeAlias = IPv4Address | IPv6Address
Reason: TypeAlias = Literal["invalid_url", "scheme_not_allowed", "invalid_host", "host_unresolvable", "private_address"]

_PORTS = {"http": 80, "https": 443}
_SHAPE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)(?:#.*)?")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^\[\]:@]*)(?::([0-9]{1,5})?)?")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")
# Left as they are in a path or query; everything else is percent-encoded, and an existing %XX is not encoded again.
_SAFE = "/?:@!$&'()*+,;=-._~%[]"

# A block within another may be reachable (an anycast service); no web server stands there, so it is refused with it.
_BLOCKED_4 = (*(each.network for each in address_blocks.IPV4 if not each.reachable), *address_blocks.INSIDE_A_CLOUD)
_BLOCKED_6 = tuple(each.network for each in address_blocks.IPV6 if not each.reachable)


@dataclass(frozen=True, slots=True)
class Url:
    """A URL that may be tried. `host` is ASCII, lower case, without brackets; `target` is path and query.

    `exempt`: an `http_allow` entry names it, so whatever its name resolves to is allowed. `address` is set where the
    host is an address and no name.
    """

    scheme: str
    host: str
    port: int
    target: str
    exempt: bool = False
    address: IpAddress | None = None

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.authority}"

    def __str__(self) -> str:
        return self.origin + self.target


def check_url(url: str, *, allow: Sequence[str] = ()) -> Url:
    """The URL in its one canonical form, or `Invalid` with code `url_blocked` and the reason in its finding's path.

    `allow` holds `host:port` entries, exempt from the https and the address rule (never from the shape).
    """
    scheme, host, port, target = _parts(url)
    literal = _literal(host)
    plain = str(literal) if literal is not None else _name(host)
    exempt = bool(allow) and f"{plain}:{port}" in {_entry(each) for each in allow}
    if scheme != "https" and not exempt:
        blocked("scheme_not_allowed", "Only https is allowed.")
    if not exempt and literal is None and (plain == "localhost" or plain.endswith(".localhost")):
        blocked("private_address", "It points to this machine.")
    if not exempt and literal is not None and not is_global(literal):
        blocked("private_address", "It points into a private network.")
    return Url(scheme, plain, port, target, exempt, literal)


def is_global(address: IpAddress) -> bool:
    """Whether an address belongs to the public Internet; an IPv4 address inside an IPv6 one is judged itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address in address_blocks.TRANSLATED:
            address = IPv4Address(int(address) & 0xFFFFFFFF)
        else:
            return address in address_blocks.GLOBAL_UNICAST and not any(address in each for each in _BLOCKED_6)
    return not any(address in each for each in _BLOCKED_4)


def vetted(addresses: Collection[str]) -> list[str]:
    """The resolved addresses, all of them global; one that is not condemns the name. Raises `Invalid` (`url_blocked`).

    All, because a name that answers with a public and a private address is how a guard is made to look away.
    """
    if not addresses:
        blocked("host_unresolvable", "Its name has no address.")
    for each in addresses:
        try:
            good = "%" not in each and is_global(ip_address(each))
        except ValueError:
            good = False
        if not good:
            blocked("private_address", "Its name resolves into a private network.")
    return list(addresses)


def blocked(reason: Reason, why: str) -> NoReturn:
    """Raise `Invalid` (`url_blocked`); the text leaves the URL out, since URLs carry secrets."""
    cure = "Use a public https URL, or name host:port in http_allow."
    finding = Finding("url_blocked", reason, why, cure)
    raise Invalid(f"The URL is blocked ({reason}). {why}", cure=cure, code="url_blocked", findings=[finding])


def why_blocked(error: Invalid) -> str:
    """The reason's word out of an error raised here."""
    return error.findings[0].path if error.findings else "invalid_url"


def _parts(url: str) -> tuple[str, str, int, str]:
    if not isinstance(url, str) or len(url) > 8_192 or _FORBIDDEN.search(url):
        blocked("invalid_url", "It is no URL: spaces, control characters and backslashes are not allowed.")
    shape = _SHAPE.fullmatch(url)
    if shape is None:
        scheme = url.partition(":")[0].lower()
        if ":" in url and scheme.isalpha() and scheme not in _PORTS:
            blocked("scheme_not_allowed", "Only https is allowed.")
        blocked("invalid_url", "It is no URL: https://host/path is expected.")
    scheme, authority, target = shape[1].lower(), shape[2], shape[3]
    if scheme not in _PORTS:
        blocked("scheme_not_allowed", "Only https is allowed.")
    if "@" in authority:
        blocked("invalid_url", "User names and passwords in URLs are not allowed.")
    split = _AUTHORITY.fullmatch(authority)
    if split is None:
        blocked("invalid_host", "Its host cannot be read.")
    port = int(split[2]) if split[2] else _PORTS[scheme]
    if not 0 < port < 65_536:
        blocked("invalid_url", "Its port is out of range.")
    return scheme, split[1], port, _target(target)


def _target(text: str) -> str:
    try:
        encoded = quote(text, safe=_SAFE)
    except UnicodeEncodeError:
        blocked("invalid_url", "It holds half a character.")
    return encoded if encoded.startswith("/") else f"/{encoded}"


def _literal(host: str) -> IpAddress | None:
    """The address a host spells in the usual way; None for a name."""
    try:
        if host.startswith("["):
            return None if "%" in host else IPv6Address(host[1:-1])
        return IPv4Address(host)
    except ValueError:
        return None


def _name(host: str) -> str:
    """A host name in ASCII and lower case; every other spelling of an address is refused here."""
    if not host or host.startswith("["):
        blocked("invalid_host", "Its host is missing or no address.")
    if not host.isascii():
        host = _idna(host)
    host = host.lower()
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1] or labels[-2 if len(labels) > 1 else -1]):
        _odd_address(labels)
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        blocked("invalid_host", "Its host is no host name.")
    return host


def _idna(host: str) -> str:
    import idna  # a large table, needed by few URLs

    try:
        return idna.encode(host, uts46=True, std3_rules=True).decode("ascii")
    except UnicodeError:
        blocked("invalid_host", "Its host is no host name.")


def _odd_address(labels: list[str]) -> NoReturn:
    """Decimal, octal, hexadecimal and short IPv4: resolvers read them, so they are named for what they are."""
    try:
        numbers = [_number(label) for label in labels if label]
        *head, last = numbers
        value = sum(part << (24 - 8 * place) for place, part in enumerate(head)) + last
        address = IPv4Address(value)
    except ValueError:
        blocked("invalid_host", "Its host is no host name.")
    if not is_global(address):
        blocked("private_address", "It points into a private network.")
    blocked("invalid_host", "Write an address in the usual way, or use a name.")


def _number(label: str) -> int:
    if label.lower().startswith("0x"):
        return int(label[2:] or "0", 16)
    return int(label, 8) if label.startswith("0") and label != "0" else int(label)


def _entry(entry: str) -> str:
    """An `http_allow` entry as host:port in our spelling."""
    host, _, port = entry.strip().lower().rpartition(":")
    literal = _literal(host)
    return f"{literal}:{port}" if literal is not None else f"{host}:{port}"
