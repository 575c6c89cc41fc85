"""How is a webhook of ours signed and sent? (Standard Webhooks, https://www.standardwebhooks.com)"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import orjson

from dripdrop.channels.answers import by_status
from dripdrop.contracts import Config, Delivery, HttpRequest, HttpResponse
from dripdrop.errors import Invalid
from dripdrop.rules.message import Webhook
from dripdrop.rules.outcome import Idempotent, Outcome, Rejected
from dripdrop.rules.urls import check_url

_DEFAULT_TYPE = "dripdrop.webhook"
_PREFIX = "whsec_"
_SIGNED = frozenset(("content-type", "webhook-id", "webhook-timestamp", "webhook-signature"))


class WebhookProvider:
    """POSTs the payload as JSON to the adapter's `url`, signed with every active secret.

    Credentials: `url`, and `secret` or `secrets` (a list, while rotating). Config: `allowed_urls`, the only other URLs
    or origins a message may name: a signature made with the adapter's secret goes nowhere else.
    """

    channel = "webhook"
    name = "default"
    on_doubt = Idempotent(timedelta(hours=24))  # receivers drop a webhook-id they have seen

    def request(self, delivery: Delivery, config: Config) -> HttpRequest:
        """Raises `Invalid`: `webhook_payload`, `webhook_secret`, `url_not_allowed`."""
        message = delivery.message
        if not isinstance(message, Webhook):
            raise Invalid("Only a webhook can be sent here.", cure="Give the step a payload.", code="webhook_payload")
        body = _body(message.payload)
        secrets = _secrets(config)
        if not secrets:
            raise Invalid("The adapter has no secret.", cure="Set `secret`, such as whsec_...", code="webhook_secret")
        stamp = str(int(config["now"].timestamp()))
        identifier = str(delivery.id)
        signatures = sign(identifier, stamp, body, secrets)
        own = [(name, value) for name, value in message.headers if name.lower() not in _SIGNED]
        ours = [
            ("content-type", "application/json"),
            ("webhook-id", identifier),
            ("webhook-timestamp", stamp),
            ("webhook-signature", signatures),
        ]
        return HttpRequest(message.method.upper(), _url(message.url, config), (*ours, *own), body)

    def outcome(self, response: HttpResponse) -> Outcome:
        if response.status == 410:  # the receiver asks not to be called any more
            return Rejected("permanent", "adapter", None, {"status": 410, "reason": "gone"})
        return by_status(response)

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Whether the address may be called is decided when it is: `http_allow` may change."""
        problems = []
        url = credentials.get("url")
        if not url:
            problems.append(("url", "is required"))
        elif not _looks_like_a_url(url):
            problems.append(("url", "must be a URL such as https://example.com/hook"))
        if not _secrets(credentials):
            problems.append(("secret", "is required"))
        return problems


def sign(identifier: str, timestamp: str, body: bytes, secrets: Sequence[bytes]) -> str:
    """The `webhook-signature` header: one `v1,` entry for each secret, separated by spaces."""
    signed = b"%s.%s.%s" % (identifier.encode(), timestamp.encode(), body)
    digests = (hmac.digest(secret, signed, "sha256") for secret in secrets)
    return " ".join(f"v1,{binascii.b2a_base64(digest, newline=False).decode('ascii')}" for digest in digests)


def secret_bytes(secret: str) -> bytes:
    """The key in a secret: base64 behind an optional `whsec_`; what is no base64 is taken as it stands."""
    text = secret.removeprefix(_PREFIX)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return text.encode("utf-8")


def _secrets(config: Mapping[str, Any]) -> list[bytes]:
    several = config.get("secrets") or ()
    every = [config.get("secret"), *((several,) if isinstance(several, str) else several)]
    return list(dict.fromkeys(key for each in every if isinstance(each, str) and (key := secret_bytes(each.strip()))))


def _body(payload: Any) -> bytes:
    whole = dict(payload) if isinstance(payload, Mapping) else {"data": payload}
    if not whole.get("type"):
        whole = {**whole, "type": _DEFAULT_TYPE}
    try:
        return orjson.dumps(whole, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError) as error:
        raise Invalid("The payload is no JSON.", cure="Use JSON values only.", code="webhook_payload") from error


def _url(wanted: str | None, config: Config) -> str:
    own = str(config["url"])
    if wanted is None or wanted == own:
        return own
    target = check_url(wanted, allow=_every_place(wanted))
    for each in (own, *(config.get("allowed_urls") or ())):
        allowed = check_url(str(each), allow=_every_place(str(each)))
        # A listed origin ("https://example.com") opens all its paths, a listed path only itself; our own, its origin.
        if target.origin == allowed.origin and (each == own or allowed.target in ("/", target.target)):
            return wanted
    raise Invalid(
        "The message's URL is not one of the adapter's.",
        cure="Use the adapter's own origin, or list the URL in its `allowed_urls`.",
        code="url_not_allowed",
    )


def _every_place(url: str) -> tuple[str, str]:
    """Exempts a URL from the address rule while it is only compared: the sender applies the rule."""
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0].lower()
    return authority, f"{authority}:{80 if scheme.lower() == 'http' else 443}"


def _looks_like_a_url(url: Any) -> bool:
    try:
        check_url(url, allow=_every_place(str(url)))
    except Invalid:
        return False
    return True
