"""Did a person open or click this, or a machine?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from dripdrop.rules.feedback import Feedback

TOO_SOON = timedelta(seconds=2)

# Programs that fetch whatever mail contains: scanners of mail gateways, previews of messengers, crawlers, libraries.
_MACHINE = re.compile(
    r"\b(?:bot|\w+bot|crawler|spider|preview|\w+preview|scanner|monitor|headlesschrome|phantomjs|selenium|"
    r"barracuda|barracudacentral|proofpoint|mimecast|symantec|ironport|fireeye|trendmicro|zscaler|urldefense|"
    r"facebookexternalhit|whatsapp|skypeuripreview|python-requests|python-urllib|aiohttp|httpx|okhttp|go-http-client|"
    r"curl|wget|libwww-perl|java|apache-httpclient|axios|node-fetch|guzzlehttp|ruby)\b",
    re.IGNORECASE,
)
# Mail services that fetch images for their readers when the reader opens: a proxy, yet a person behind it.
# https://support.google.com/mail/answer/145919
_PROXY = re.compile(r"GoogleImageProxy|YahooMailProxy", re.IGNORECASE)
# Apple's Mail Privacy Protection loads everything in advance, under this and nothing more.
# https://support.apple.com/guide/mail/use-mail-privacy-protection-mlhl03be2866/mac
_BARE_MOZILLA = "Mozilla/5.0"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`why` holds the evidence, each a word of ours: nothing of the user agent or the address is kept."""

    machine: bool
    why: tuple[str, ...] = ()


def verdict(told: Feedback, *, delivered_at: datetime | None = None, sent_at: datetime | None = None) -> Verdict:
    """The verdict on an open or a click. Where nothing speaks for a machine it is taken for a person's.

    `delivered_at` and `sent_at` are when the message arrived and when the provider took it, as far as known.
    """
    why: list[str] = []
    agent = (told.user_agent or "").strip()[:1024]
    if told.machine:
        why.append("provider_says")
    if agent == _BARE_MOZILLA:
        why.append("privacy_prefetch")
    elif agent and not _PROXY.search(agent) and _MACHINE.search(agent):
        why.append("machine_agent")
    if str(told.detail.get("method", "")).upper() == "HEAD":
        why.append("head_request")
    arrived, seen = delivered_at or sent_at, told.occurred_at
    # A time without a zone says nothing.
    if arrived is not None and seen is not None and seen.tzinfo is not None and abs(seen - arrived) < TOO_SOON:
        # Times of providers are whole seconds: within two of its delivery nobody has read anything.
        why.append("too_soon")
    if told.machine is False:
        return Verdict(False, ("provider_says_human",))
    proxied = ("proxy",) if agent and _PROXY.search(agent) else ()
    return Verdict(bool(why), (*why, *proxied))
