"""What do the providers of e-mail over HTTP have in common?"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from dripdrop.channels.answers import by_status, json_of
from dripdrop.channels.email.mail import Mail, read
from dripdrop.contracts import Config, Delivery, HttpRequest, HttpResponse
from dripdrop.rules.addresses import refuse
from dripdrop.rules.outcome import Accepted, Neither, OnDoubt, Outcome

_LONGEST_KEY = 200


class EmailProvider:
    """A base: a subclass says how a `Mail` is written down, where the message's id stands, and what a refusal means.

    `required` are the credentials that must be there; `lacks` names the features the provider has not (see
    `Mail.features`): a message that uses one is refused by that name.
    """

    channel = "email"
    name: str
    required: tuple[str, ...] = ("api_key",)
    lacks: frozenset[str] = frozenset()
    on_doubt: OnDoubt = Neither()

    def call(self, mail: Mail, config: Config) -> HttpRequest:
        """The call that sends this e-mail."""
        raise NotImplementedError

    def message_id(self, response: HttpResponse, answer: Mapping[str, Any]) -> str | None:
        """The provider's id of what it accepted; `answer` is the body's JSON, {} where it has none."""
        raise NotImplementedError

    def refusal(self, response: HttpResponse, answer: Mapping[str, Any]) -> Outcome:
        """What an answer outside 2xx means; by its status unless the provider says more."""
        return by_status(response)

    def request(self, delivery: Delivery, config: Config) -> HttpRequest:
        """Raises `Invalid` for what cannot be sent, or not by this provider."""
        return self.call(read(delivery, config, lacks=self.lacks), config)

    def outcome(self, response: HttpResponse) -> Outcome:
        answer = json_of(response)
        if 200 <= response.status < 300:
            return Accepted(self.message_id(response, answer), {"status": response.status})
        return self.refusal(response, answer)

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [
            (name, "is required")
            for name in self.required
            if not isinstance(credentials.get(name), str) or not credentials[name].strip()
        ]


class KeepsOurId(EmailProvider):
    """A base for those that leave our Message-ID as it is, and answer with an id of another kind."""

    def seen_as(self, delivery: Delivery, outcome: Accepted, config: Config) -> str | None:
        """The Message-ID that readers see, and that their replies name."""
        return getattr(delivery.message, "message_id", None)


def base_url(config: Config, default: str) -> str:
    """The API's address: the adapter's `base_url` (another region, a recorder in tests), else the usual one."""
    return str(config.get("base_url") or default).rstrip("/")


def bearer(config: Config) -> tuple[tuple[str, str], ...]:
    """The headers that show the token of the adapter's `token_source`; raises `Invalid` (`token_missing`)."""
    if not config.get("token"):
        refuse("token_missing", "token", "The adapter has no token.", "Name its `token_source` in the config.")
    return (("authorization", f"Bearer {config['token']}"), ("accept", "application/json"))


def event_key(*parts: Any) -> str | None:
    """One text out of what tells an event from all others; a long one as its SHA-256. None where nothing is said."""
    said = [str(part) for part in parts if part is not None and part != ""]
    key = "|".join(said)
    return (key if len(key) <= _LONGEST_KEY else sha256(key.encode("utf-8", "replace")).hexdigest()) or None
