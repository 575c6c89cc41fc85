"""How is a call to Amazon signed, and what do its errors mean?

Signature Version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html.
Errors common to its services: https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from dripdrop.channels.answers import by_status, json_of, retry_after, saying
from dripdrop.channels.bodies import string
from dripdrop.contracts import Config, HttpRequest, HttpResponse
from dripdrop.rules.outcome import Outcome, Rejected

CREDENTIALS = ("region", "access_key", "secret")
"""What every adapter of Amazon needs; `session_token` besides, for keys of a role."""

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-\d+")
_PORTS = {"http": 80, "https": 443}
_SUFFIXES = {"cn": "amazonaws.com.cn", "eusc": "amazonaws.eu"}
_CODE = re.compile(rb"<Code>([A-Za-z.]{1,100})</Code>")
# Said with 400 by some services, so the status alone would refuse the message for good.
_THROTTLED = frozenset(
    ("Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded")
)
_OUR_LOGIN = frozenset(
    (
        "AccessDenied", "AccessDeniedException", "AuthorizationErrorException", "ExpiredToken", "ExpiredTokenException",
        "IncompleteSignature", "IncompleteSignatureException", "InvalidClientTokenId", "InvalidSecurity",
        "InvalidSignatureException", "MissingAuthenticationToken", "NotAuthorized", "OptInRequired",
        "RequestExpired", "SignatureDoesNotMatch", "UnrecognizedClientException",
    )
)  # fmt: skip
_BUSY = frozenset(("InternalFailure", "InternalError", "InternalErrorException", "ServiceUnavailable"))


def signed(request: HttpRequest, config: Config, service: str) -> HttpRequest:
    """The request with the headers that sign it, by the adapter's credentials, for this service of its region.

    Every header that it already has is signed too.
    """
    stamp = config["now"].astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    own = [*request.headers, ("x-amz-date", stamp)]
    if config.get("session_token"):
        own.append(("x-amz-security-token", str(config["session_token"])))
    told = sorted((name.lower(), " ".join(value.split())) for name, value in (*own, ("host", _host(request.url))))
    names = ";".join(name for name, _ in told)
    scope = f"{stamp[:8]}/{config['region']}/{service}/aws4_request"
    canonical = "\n".join(
        (request.method, *_target(request.url), *(f"{name}:{value}" for name, value in told), "", names,
         hashlib.sha256(request.body).hexdigest())
    )  # fmt: skip
    wanted = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{config['secret']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, wanted.encode(), "sha256").hexdigest()
    said = f"{_ALGORITHM} Credential={config['access_key']}/{scope}, SignedHeaders={names}, Signature={signature}"
    return replace(request, headers=(*own, ("authorization", said)))


def endpoint(config: Config, service: str) -> str:
    """https://SERVICE.REGION.amazonaws.com (or as the region's partition has it); `base_url` of the adapter first."""
    region = str(config["region"])
    return str(config.get("base_url") or f"https://{service}.{region}.{suffix(region)}").rstrip("/")


def suffix(region: str) -> str:
    """The domain of a region's partition: amazonaws.com, but in China and in the European Sovereign Cloud."""
    return _SUFFIXES.get(region.partition("-")[0], "amazonaws.com")


def error_name(response: HttpResponse) -> str:
    """The error's name, whichever protocol says it: `MessageRejected`, `Throttling`; "" where none is said."""
    answer = json_of(response)
    told = response.headers.get("x-amzn-errortype") or string(answer, "__type") or string(answer, "Error", "Code")
    if not told:
        found = _CODE.search(response.body)
        told = found[1].decode() if found else string(answer, "code") or ""
    return told.partition(":")[0].rpartition("#")[2].strip()[:100]


def refusal(response: HttpResponse) -> Outcome:
    """What an answer outside 2xx means to every service of Amazon."""
    name, answer = error_name(response), json_of(response)
    said = string(answer, "message") or string(answer, "Message") or string(answer, "Error", "Message") or ""
    detail = {"status": response.status, "error": name, "said": saying(said)}
    if name in _THROTTLED:
        return Rejected("temporary", "throttled", retry_after(response), detail)
    if name in _OUR_LOGIN:
        return Rejected("temporary", "adapter", retry_after(response), detail)
    if name in _BUSY:
        return Rejected("temporary", "message", retry_after(response), detail)
    return by_status(response, detail)


def credential_problems(credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with an adapter's credentials, as (field, text)."""
    problems = [(name, "is required") for name in CREDENTIALS if not str(credentials.get(name) or "").strip()]
    region = str(credentials.get("region") or "")
    if region.strip() and not _REGION.fullmatch(region):
        problems.append(("region", "must be a region such as eu-central-1"))
    return problems


def _host(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port
    return f"{parts.hostname}:{port}" if port not in (None, _PORTS.get(parts.scheme)) else str(parts.hostname)


def _target(url: str) -> tuple[str, str]:
    """Path and query as they are signed: the path as it stands encoded once more, the query in the order of names."""
    parts = urlsplit(url)
    query = sorted(
        (quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED))
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    return quote(parts.path or "/", safe=f"/{_UNRESERVED}"), "&".join(f"{name}={value}" for name, value in query)
