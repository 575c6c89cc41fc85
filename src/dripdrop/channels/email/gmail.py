"""How does Gmail's API take an e-mail?  From a mailbox; it tells nothing later, and replies come to that mailbox.

Sending: https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/send, the whole e-mail in
base64url; errors: https://developers.google.com/workspace/gmail/api/guides/handle-errors.
In doubt nothing can be done: the sending page knows no key, and a search in the mailbox needs a right that a sender has
not; it may also have given the e-mail another Message-ID.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from dripdrop.channels.answers import by_status, json_of, retry_after, saying
from dripdrop.channels.bodies import child, moment, string
from dripdrop.channels.email import raw
from dripdrop.channels.email.mail import Mail, add_options
from dripdrop.channels.email.provider import EmailProvider, base_url, bearer
from dripdrop.contracts import Config, Delivery, HttpRequest, HttpResponse
from dripdrop.rules.outcome import Accepted, Neither, Outcome, Rejected

_API = "https://gmail.googleapis.com/gmail/v1"
_LIMITS = frozenset(("rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded", "quotaExceeded"))
_NO_RIGHT = frozenset(("insufficientPermissions", "forbidden"))
_UNTIL = re.compile(r"Retry after (\d{4}-\d\d-\d\dT[0-9:.]+Z)")
_RECIPIENT = re.compile(r"Invalid (?:To|Cc|Bcc) header|Recipient address required")


class GmailProvider(EmailProvider):
    """Gmail, by OAuth: config `token_source` (`service_account` with domain-wide delegation, `refresh_token`, ...) with
    the scope https://www.googleapis.com/auth/gmail.send.

    Credentials: `user_email` (the mailbox), and what the token source needs. Config: `from` (default: the mailbox),
    `base_url`, `provider_options` (`threadId`: the mailbox's own thread, beside In-Reply-To and References).
    """

    name = "gmail"
    required = ("user_email",)
    lacks = frozenset(("tags", "several_tags", "metadata"))
    on_doubt = Neither()

    def request(self, delivery: Delivery, config: Config) -> HttpRequest:
        return super().request(delivery, {**config, "from": config.get("from") or config["user_email"]})

    def call(self, mail: Mail, config: Config) -> HttpRequest:
        packed = base64.urlsafe_b64encode(raw.octets(mail, config, bcc=True)).decode("ascii")
        body = orjson.dumps(add_options({"raw": packed}, mail.options, ("payload",)))
        headers = (*bearer(config), ("content-type", "application/json"))
        return HttpRequest("POST", f"{_user(config)}/messages/send", headers, body)

    def message_id(self, response: HttpResponse, answer: Mapping[str, Any]) -> str | None:
        return string(answer, "id")

    def outcome(self, response: HttpResponse) -> Outcome:
        found = super().outcome(response)
        thread = string(json_of(response), "threadId")
        if isinstance(found, Accepted) and thread:
            return Accepted(found.provider_message_id, {**found.meta, "thread": thread[:100]})
        return found

    def refusal(self, response: HttpResponse, answer: Mapping[str, Any]) -> Outcome:
        reason, said = _reason(answer), string(answer, "error", "message") or ""
        detail = {"status": response.status, "error": saying(reason), "said": saying(said)}
        if response.status == 429 or reason in _LIMITS:
            return Rejected("temporary", "throttled", retry_after(response) or _until(response, said), detail)
        if reason == "failedPrecondition":  # the mailbox is not there, or not Gmail's
            return Rejected("temporary", "adapter", None, detail)
        if response.status == 400 and _RECIPIENT.search(said):
            return Rejected("permanent", "recipient", None, detail)
        return by_status(response, detail)

    def check_request(self, config: Config) -> HttpRequest:
        return HttpRequest("GET", f"{_user(config)}/profile", bearer(config))

    def checked(self, response: HttpResponse) -> str | None:
        """A token that may only send is refused here by that name, and is well."""
        answer = json_of(response)
        if response.status == 200 or (response.status == 403 and _reason(answer) in _NO_RIGHT):
            return None
        return f"Gmail answered {response.status}: {saying(string(answer, 'error', 'message') or '')}"


def _user(config: Config) -> str:
    return f"{base_url(config, _API)}/users/{quote(str(config['user_email']), safe='')}"


def _reason(answer: Mapping[str, Any]) -> str:
    errors = child(answer, "error", "errors")
    return string(errors[0] if isinstance(errors, list) and errors else None, "reason") or ""


def _until(response: HttpResponse, said: str) -> float | None:
    """Seconds until the time that the message names, by the clock of Gmail's own answer."""
    found = _UNTIL.search(said)
    then, now = moment(found[1]) if found else None, moment(response.headers.get("date"))
    return max((then - now).total_seconds(), 0.0) if then is not None and now is not None else None
