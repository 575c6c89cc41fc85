"""How does Microsoft 365 take an e-mail?  From a mailbox, by Graph; it tells nothing later, and replies come there.

Sending: https://learn.microsoft.com/en-us/graph/api/user-sendmail, with the whole e-mail as MIME in base64
(https://learn.microsoft.com/en-us/graph/outlook-send-mime-message): as JSON it takes no headers but those that begin
with x-, so neither a thread nor a way to unsubscribe. Errors: https://learn.microsoft.com/en-us/graph/errors.
In doubt nothing can be done: the sending page knows no key, and its answer has no id.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from dripdrop.channels.answers import by_status, json_of, retry_after, saying
from dripdrop.channels.bodies import string
from dripdrop.channels.email import raw
from dripdrop.channels.email.mail import Mail
from dripdrop.channels.email.provider import EmailProvider, base_url, bearer
from dripdrop.contracts import Config, Delivery, HttpRequest, HttpResponse
from dripdrop.rules.outcome import Neither, Outcome, Rejected

_API = "https://graph.microsoft.com/v1.0"
# Whatever the person: the mailbox is not there, or may not send, or not as this sender.
_ADAPTER = frozenset(
    (
        "ErrorAccessDenied", "ErrorAccountSuspend", "ErrorInvalidUser", "ErrorNonExistentMailbox", "ErrorSendAsDenied",
        "MailboxNotEnabledForRESTAPI", "MailboxNotSupportedForRESTAPI", "Request_ResourceNotFound", "ResourceNotFound",
    )
)  # fmt: skip
_LIMITS = frozenset(
    ("ApplicationThrottled", "ErrorExceededMessageLimit", "ErrorMessageSubmissionBlocked", "ErrorQuotaExceeded")
)
_RECIPIENTS = "ErrorInvalidRecipients"
_BANDWIDTH = 509


class Ms365Provider(EmailProvider):
    """Microsoft 365, by OAuth: config `token_source` (`client_credentials` with the scope
    https://graph.microsoft.com/.default and the application's right Mail.Send, `refresh_token`, ...).

    Credentials: `user_email` (the mailbox), and what the token source needs. Config: `from` (default: the mailbox),
    `base_url` (a national cloud's). What is sent is kept in Sent Items.
    """

    name = "ms365"
    required = ("user_email",)
    lacks = frozenset(("tags", "several_tags", "metadata", "provider_options"))
    on_doubt = Neither()

    def request(self, delivery: Delivery, config: Config) -> HttpRequest:
        return super().request(delivery, {**config, "from": config.get("from") or config["user_email"]})

    def call(self, mail: Mail, config: Config) -> HttpRequest:
        body = base64.b64encode(raw.octets(mail, config, bcc=True))
        headers = (*bearer(config), ("content-type", "text/plain"))
        return HttpRequest("POST", f"{_user(config)}/sendMail", headers, body)

    def message_id(self, response: HttpResponse, answer: Mapping[str, Any]) -> str | None:
        return None

    def refusal(self, response: HttpResponse, answer: Mapping[str, Any]) -> Outcome:
        name, said = string(answer, "error", "code") or "", string(answer, "error", "message") or ""
        detail = {"status": response.status, "error": saying(name), "said": saying(said)}
        if response.status in (429, _BANDWIDTH) or name in _LIMITS:
            return Rejected("temporary", "throttled", retry_after(response), detail)
        if name in _ADAPTER:
            return Rejected("temporary", "adapter", retry_after(response), detail)
        if name == _RECIPIENTS:
            return Rejected("permanent", "recipient", None, detail)
        return by_status(response, detail)

    def check_request(self, config: Config) -> HttpRequest:
        return HttpRequest("GET", f"{_user(config)}?$select=mail", bearer(config))

    def checked(self, response: HttpResponse) -> str | None:
        """A token that may only send is refused here with 403, and is well."""
        if response.status in (200, 403):
            return None
        return f"Graph answered {response.status}: {saying(string(json_of(response), 'error', 'message') or '')}"


def _user(config: Config) -> str:
    return f"{base_url(config, _API)}/users/{quote(str(config['user_email']), safe='')}"
