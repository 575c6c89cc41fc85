"""When are two recipients the same, and what is the address in this text?"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import idna

from dripdrop.errors import Invalid

MAX_LENGTH = 2048

# Where people answer without naming what they answer: what was sent to them last is meant.
ANSWERED_PLAINLY = frozenset({"sms", "whatsapp", "telegram", "slack"})

_PHONE_CHANNELS = frozenset({"sms", "whatsapp"})
# Who hides the number behind a username is named by country and an id, which may be all digits:
# https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids.
_WHATSAPP_USER = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_ADDRESS = re.compile(
    r"(?<![\w.!#$%&'*+/=?^`{|}~-])[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.){1,20}[^\W\d_][\w-]{1,62}(?![\w@-])"
)


def normalize(channel: str, value: str, region: str = "US") -> str:
    """The one spelling under which a recipient is compared, counted and suppressed; doing it twice changes nothing.

    E-mail: trimmed, lower case, the domain in its ASCII form (IDNA). SMS and WhatsApp: E.164 where the number is
    valid in `region` (two letters), else its digits; WhatsApp's own ids (US.1349...) as they are. Telegram: `@names`
    in lower case, ids as they are. Everything else, Slack ids above all, keeps its case and is only trimmed. Raises
    `Invalid` for what is not text or is longer than 2048 characters.
    """
    if not isinstance(value, str):
        raise Invalid(
            f"A recipient must be text, not {type(value).__name__}.", cure="Pass it as text.", code="recipient_not_text"
        )
    if len(value) > MAX_LENGTH:
        raise Invalid(
            f"A recipient of {len(value)} characters is too long.",
            cure=f"At most {MAX_LENGTH} are possible.",
            code="recipient_too_long",
        )
    value = value.strip()
    if channel == "email":
        return _email(value)
    if channel == "whatsapp" and _WHATSAPP_USER.fullmatch(value):
        return value
    if channel in _PHONE_CHANNELS:
        return _phone(value, region.upper())
    if channel == "telegram" and value.startswith("@"):
        return value.lower()
    return value


def is_email(text: str) -> bool:
    """Whether the text, trimmed, is one e-mail address and nothing else."""
    text = text.strip()
    found = _ADDRESS.fullmatch(text) if len(text) <= 320 else None
    return found is not None and ".." not in text and not text.startswith(".") and ".@" not in text


def email_address(text: str | None) -> str | None:
    """The first e-mail address anywhere in the text (`Ann <ann@example.org>`), normalized; None where there is none."""
    found = _ADDRESS.search(text[:65536]) if text and "@" in text else None
    return _email(found.group()) if found else None


def email_domain(text: str | None) -> str | None:
    """The domain of the first e-mail address in the text, in its ASCII form; None where there is none."""
    address = email_address(text)
    return address.rpartition("@")[2] if address else None


def recipient_domain(recipient: str | Mapping[str, Any] | None) -> str | None:
    """The e-mail domain of a recipient, given as text or as a mapping with `to` or `recipient`."""
    if isinstance(recipient, Mapping):
        recipient = recipient.get("to") or recipient.get("recipient")
        if isinstance(recipient, (list, tuple)):
            recipient = recipient[0] if recipient else None
    return email_domain(recipient) if isinstance(recipient, str) else None


def needle(channel: str, recipient: str) -> tuple[str, bool]:
    """(piece, digits): what lower-case text holds, stripped to its digits or as it is, wherever it names a recipient.

    More texts hold it than name the recipient: `spoken_of` decides.
    """
    if channel in _PHONE_CHANNELS and any(each.isdigit() for each in recipient):
        return "".join(each for each in recipient if each.isdigit())[-7:], True
    piece = f"{recipient.rpartition('@')[0]}@" if channel == "email" else recipient.lower()
    return (piece if piece.isascii() else "@" if channel == "email" else ""), False


def spoken_of(channel: str, recipient: str, value: Any) -> bool:
    """Whether a text anywhere in a value is this recipient (as `normalize` spells it), in whatever spelling."""
    if isinstance(value, str):
        return _is(channel, recipient, value)
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return isinstance(value, int) and _is(channel, recipient, str(value))
    return any(spoken_of(channel, recipient, each) for each in value)


def _is(channel: str, recipient: str, text: str) -> bool:
    if channel == "email":
        return email_address(text) == recipient
    return len(text) <= MAX_LENGTH and normalize(channel, text) == recipient


def _email(value: str) -> str:
    if value.isascii():
        return value.lower()
    local, at, domain = value.rpartition("@")
    local = unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).lower())
    return f"{local}{at}{_ascii_domain(domain)}".strip()


@lru_cache(maxsize=1024)
def _ascii_domain(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        # Not a name DNS could know: still one spelling, so that a suppression finds it again.
        return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", domain).lower())


@lru_cache(maxsize=4096)
def _phone(value: str, region: str) -> str:
    # Loaded on first use: its tables are large, and a host that only sends e-mail never needs them.
    import phonenumbers

    def valid(text: str) -> str | None:
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            return None
        if not phonenumbers.is_valid_number(number):
            return None
        return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))

    bare = _bare_number(value, american=phonenumbers.country_code_for_region(region) == 1)
    return valid(value) or valid(bare) or bare


def _bare_number(value: str, american: bool) -> str:
    """The digits of what is no valid number, completed with +1 only where +1 is the country code."""
    digits = "".join(str(unicodedata.decimal(each)) for each in value if each.isdecimal())
    if not digits:
        return value
    if value.startswith(("+", "＋")):
        return f"+{digits}"
    if american and len(digits) == 11 and digits.startswith("1"):
        return f"+{digits}"
    return f"+1{digits}" if american and len(digits) == 10 else digits
