"""What does a provider's HTTP answer mean?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from dripdrop.contracts import HttpResponse
from dripdrop.errors import DripDropError, Invalid
from dripdrop.rules.http_headers import seconds_to_wait
from dripdrop.rules.outcome import Accepted, Outcome, Rejected, Unknown

_TEMPORARY = frozenset((408, 409, 425))
# A gateway says these for a server behind it, which may have done the work: 502 and 504 (RFC 9110, 15.6), and 520 and
# 524 of Cloudflare, which stands before many an API.
_IN_DOUBT = frozenset((502, 504, 520, 524))
_LONGEST_SAYING = 200
_PRIVATE = (
    re.compile(r"[^\s<>\"'(),;:=]+@[^\s<>\"'(),;:]+"),
    re.compile(r"https?://\S+"),
    re.compile(r"\+?\d[\d ()./-]{5,}\d"),
)


def by_status(response: HttpResponse, detail: Mapping[str, Any] | None = None) -> Outcome:
    """The outcome by status alone; `detail` (a provider's error code, say) is kept beside the status.

    2xx accepted; 429 throttled; 401 and 403 the adapter's trouble, not the person's; 408, 409, 425 and what a server
    itself says with 5xx temporary; what a gateway says for it (502, 504, 520, 524) unknown, since the server behind it
    may have taken the message; a redirect is not followed and is the adapter's to mend; every other status refuses
    this message for good.
    """
    status = response.status
    found = {"status": status, **(detail or {})}
    if 200 <= status < 300:
        return Accepted(meta=found)
    if status == 429:
        return Rejected("temporary", "throttled", retry_after(response), found)
    if status in (401, 403):
        return Rejected("temporary", "adapter", retry_after(response), found)
    if status in _IN_DOUBT:
        return Unknown({"reason": "gateway", **found})
    if status in _TEMPORARY or status >= 500:
        return Rejected("temporary", "message", retry_after(response), found)
    if 300 <= status < 400:
        return Rejected("permanent", "adapter", None, {**found, "reason": "redirect"})
    return Rejected("permanent", "message", None, found)


def retry_after(response: HttpResponse) -> float | None:
    """Seconds to wait, where the answer says so."""
    return seconds_to_wait(response.headers)


def json_of(response: HttpResponse) -> Mapping[str, Any]:
    """The answer's JSON object; {} where it is none."""
    try:
        answer = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def saying(text: Any) -> str:
    """A provider's sentence as it may be kept: one line, short, without addresses, numbers and links."""
    line = " ".join(str(text).split())[: 2 * _LONGEST_SAYING]
    for pattern in _PRIVATE:
        line = pattern.sub("...", line)
    return line[:_LONGEST_SAYING]


def unfit(error: DripDropError) -> Rejected:
    """A message that a provider cannot be given: nobody was asked, so the refusal is our own.

    A sender that is missing or broken is the adapter's to mend; a broken recipient is the person's; what the provider
    cannot do is named under `unsupported`.
    """
    path = error.findings[0].path if isinstance(error, Invalid) and error.findings else ""
    if error.code == "unsupported":
        return Rejected("permanent", "message", None, {"reason": "unsupported", "unsupported": path})
    detail = {"reason": error.code, "path": path} if path else {"reason": error.code}
    if error.code in ("sender_missing", "provider_option", "token_missing") or path in ("from", "return_path"):
        return Rejected("temporary", "adapter", None, detail)
    whose = path.partition("[")[0] in ("to", "cc", "bcc")
    return Rejected("permanent", "recipient" if whose else "message", None, detail)
