"""How does Slack take a message, and what does it tell us later?

Incoming webhooks: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, their errors:
https://docs.slack.dev/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks. The Web API:
https://docs.slack.dev/reference/methods/chat.postMessage. Events: https://docs.slack.dev/apis/events-api, signed as in
https://docs.slack.dev/authentication/verifying-requests-from-slack.
In doubt: neither way has a key to drop a second request by. A posted message carries our id in its metadata
(https://docs.slack.dev/messaging/message-metadata), but only the whole history of a channel could be searched for it.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dripdrop.channels import bodies, callers, given
from dripdrop.channels.answers import by_status, json_of, retry_after, saying
from dripdrop.channels.bodies import child, moment, string
from dripdrop.channels.email.provider import base_url, event_key
from dripdrop.contracts import DELIVERY_KEY, Config, Delivery, HttpRequest, HttpResponse, WebhookRequest
from dripdrop.errors import Invalid
from dripdrop.rules.addresses import refuse
from dripdrop.rules.feedback import Feedback, InboundMessage
from dripdrop.rules.message import Chat
from dripdrop.rules.outcome import Accepted, Cause, Kind, Neither, Outcome, Rejected, Unknown
from dripdrop.rules.urls import check_url

_API = "https://slack.com/api"
_JSON = ("content-type", "application/json; charset=utf-8")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,79}")
_EVENT_TYPE = "dripdrop_delivery"
# What people write has no subtype, or one of these: https://docs.slack.dev/reference/events/message.
_WRITTEN = frozenset((None, "file_share", "me_message", "thread_broadcast"))
_WEBHOOK_FIELDS = ("blocks", "attachments", "mrkdwn", "unfurl_links", "unfurl_media", "metadata")
_POST_FIELDS = (
    "blocks", "attachments", "mrkdwn", "parse", "link_names", "unfurl_links", "unfurl_media", "thread_ts",
    "reply_broadcast", "username", "icon_emoji", "icon_url",
)  # fmt: skip

# What an incoming webhook says in plain text; a channel that is gone or a webhook that was revoked is the adapter's.
_ADAPTERS = frozenset((
    "no_service", "no_service_id", "no_team", "team_disabled", "invalid_token", "channel_not_found", "user_not_found",
    "channel_is_archived", "posting_to_general_channel_denied",
))  # fmt: skip
_REFUSALS: Mapping[tuple[Kind, Cause], tuple[str, ...]] = {
    ("temporary", "adapter"): (
        "not_authed", "invalid_auth", "access_denied", "accesslimited", "account_inactive", "token_expired",
        "token_revoked", "no_permission", "missing_scope", "not_allowed_token_type", "org_login_required",
        "team_access_not_granted", "ekm_access_denied", "enterprise_is_restricted", "two_factor_setup_required",
        "method_deprecated", "team_added_to_org",
    ),
    ("permanent", "recipient"): (
        "channel_not_found", "user_not_found", "users_not_found", "is_archived", "not_in_channel", "cannot_dm_bot",
        "messages_tab_disabled", "user_disabled", "user_not_visible",
    ),
    ("permanent", "policy"): (
        "restricted_action", "restricted_action_read_only_channel", "restricted_action_thread_locked",
        "restricted_action_thread_only_channel", "restricted_action_non_threadable_channel",
        "slack_connect_file_link_sharing_blocked",
    ),
    ("temporary", "throttled"): ("ratelimited", "rate_limited", "message_limit_exceeded"),
    ("temporary", "message"): ("service_unavailable", "request_timeout"),
}  # fmt: skip
_REFUSED = {error: outcome for outcome, errors in _REFUSALS.items() for error in errors}
# "It's possible some aspect of the operation succeeded before the error was raised."
_DOUBTS = frozenset(("fatal_error", "internal_error"))


class SlackWebhookProvider:
    """An incoming webhook: it posts to the one channel that its `url`, the only credential, was made for.

    A message that is addressed to somebody is refused (`unsupported`): it would be read by the whole channel.
    """

    channel = "slack"
    name = "webhook"
    on_doubt = Neither()

    def request(self, delivery: Delivery, config: Config) -> HttpRequest:
        """Raises `Invalid`: `wrong_message`, `unsupported`."""
        message = given.message_of(delivery, Chat)
        if message.to is not None:
            given.unsupported("to")
        body = {"text": message.text, **given.only(message.extra, _WEBHOOK_FIELDS)}
        return HttpRequest("POST", given.secret(config, "url"), (_JSON,), given.json_bytes(body))

    def outcome(self, response: HttpResponse) -> Outcome:
        said = saying(response.body[:200].decode("utf-8", "replace"))
        detail = {"status": response.status, "said": said}
        if 200 <= response.status < 300:
            return Accepted(meta=detail)
        if response.status < 500 and (said in _ADAPTERS or response.status == 404):
            return Rejected("temporary", "adapter", retry_after(response), detail)
        if said == "action_prohibited":
            return Rejected("permanent", "policy", None, detail)
        return by_status(response, detail)

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        if problems := given.missing(credentials, "url"):
            return problems
        try:
            check_url(given.secret(credentials, "url"))
        except Invalid:
            return [("url", "must be a URL such as https://hooks.slack.com/services/...")]
        return []


class SlackApiProvider:
    """`chat.postMessage`: to a channel, or to a person by their id (U...).

    Credentials: `bot_token`; `signing_secret` for events (a list while it is rotated). Config: `to` (where a message
    names nobody), `base_url`. Events that are of use are message.im and message.channels: replies in the thread of a
    message of ours find it.
    """

    channel = "slack"
    name = "api"
    on_doubt = Neither()

    def request(self, delivery: Delivery, config: Config) -> HttpRequest:
        """Raises `Invalid`: `wrong_message`, `recipient_missing`, `unsupported`."""
        message = given.message_of(delivery, Chat)
        to = message.to or str(config.get("to") or "")
        if not to:
            refuse("recipient_missing", "to", "The message names no channel.", "Set `to` in the step or the adapter.")
        body = {
            "channel": to,
            "text": message.text,
            **given.only(message.extra, _POST_FIELDS),
            "metadata": {"event_type": _EVENT_TYPE, "event_payload": {DELIVERY_KEY: str(delivery.id)}},
        }
        headers = (_authorization(config), _JSON)
        return HttpRequest("POST", f"{base_url(config, _API)}/chat.postMessage", headers, given.json_bytes(body))

    def outcome(self, response: HttpResponse) -> Outcome:
        """Most refusals come with 200: `ok` tells."""
        said = json_of(response)
        error = _code(said.get("error"))
        detail = {"status": response.status, **({"error": error} if error else {})}
        if 200 <= response.status < 300 and said.get("ok") is True:
            return Accepted(_key(said.get("channel"), said.get("ts")), detail)
        if error in _DOUBTS:
            return Unknown({"reason": "server", **detail})
        if error in _REFUSED:
            kind, cause = _REFUSED[error]
            return Rejected(kind, cause, retry_after(response), detail)
        if 200 <= response.status < 300:
            return Rejected("permanent", "message", None, detail) if error else Unknown({"reason": "no_ok", **detail})
        return by_status(response, detail)

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        return given.missing(credentials, "bot_token")

    def check_request(self, config: Config) -> HttpRequest:
        return HttpRequest("POST", f"{base_url(config, _API)}/auth.test", (_authorization(config),))

    def checked(self, response: HttpResponse) -> str | None:
        said = json_of(response)
        if said.get("ok") is True:
            return None
        return f"Slack answered {response.status}: {_code(said.get('error'))}"

    def webhook_routes(self, adapter: Any) -> Sequence[tuple[str, str]]:
        return (("POST", ""),)

    def verify_webhook(self, raw_body: bytes, headers: Mapping[str, str], config: Config) -> None:
        secrets = callers.secrets(config, "signing_secret")
        stamp = callers.header(headers, "X-Slack-Request-Timestamp")
        signature = callers.header(headers, "X-Slack-Signature")
        signed = b"v0:%s:%s" % (stamp.encode("utf-8", "replace"), raw_body)
        wanted = [f"v0={hmac.digest(each.encode(), signed, 'sha256').hex()}" for each in secrets]
        if not callers.any_same(signature, wanted):
            callers.refuse("The signature does not hold.", "Check signing_secret against the app's.")
        callers.fresh(stamp, config)

    def handshake(self, request: WebhookRequest, config: Config) -> HttpResponse | None:
        """https://docs.slack.dev/reference/events/url_verification: the challenge goes back as it came."""
        try:
            said = bodies.json_object(request.body)
        except Invalid:
            return None
        if said.get("type") != "url_verification":
            return None
        return HttpResponse(200, {"content-type": "text/plain"}, (string(said, "challenge") or "").encode())

    def parse_events(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        said = bodies.json_object(raw_body)
        return [said] if said.get("type") == "event_callback" else []

    def provider_event_id(self, payload: Mapping[str, Any]) -> str | None:
        return event_key(string(payload, "event_id"))

    def resolve_delivery(self, payload: Mapping[str, Any]) -> Mapping[str, str] | None:
        """Of what we posted ourselves Slack tells us too, with our id: so a doubt is settled."""
        event = child(payload, "event")
        ours = string(event, "metadata", "event_payload", DELIVERY_KEY)
        named = _key(child(event, "channel_id"), child(event, "message_ts"))
        whose = {"delivery_id": ours, "provider_message_id": named if ours else None}
        return {name: value for name, value in whose.items() if value} or None

    def normalize_feedback(self, payload: Mapping[str, Any]) -> Feedback | None:
        """https://docs.slack.dev/reference/events/message_metadata_posted, for an app that subscribes to it."""
        event = child(payload, "event")
        if child(event, "type") != "message_metadata_posted" or self.resolve_delivery(payload) is None:
            return None
        return Feedback("delivered", None, moment(string(event, "message_ts")), event="message_metadata_posted")

    def parse_inbound(self, payload: Mapping[str, Any]) -> list[InboundMessage]:
        """What a person wrote to the app, or below a message of ours; what a bot wrote, or was edited, is none."""
        event = child(payload, "event")
        sender, place, thread = (string(event, name) for name in ("user", "channel", "thread_ts"))
        written = child(event, "type") == "message" and string(event, "subtype") in _WRITTEN
        wrote = written and not child(event, "bot_id")
        if not wrote or sender is None or (thread is None and child(event, "channel_type") != "im"):
            return []
        return [
            InboundMessage(
                sender=sender,
                to=place or "",
                text=string(event, "text") or "",
                received_at=moment(string(event, "ts")),
                provider_message_id=_key(place, string(event, "ts")),
                replies_to=_key(place, thread) if thread else None,
            )
        ]


def _authorization(config: Config) -> tuple[str, str]:
    return ("authorization", f"Bearer {given.secret(config, 'bot_token')}")


def _code(error: Any) -> str:
    """An error of the Web API, which is a word such as channel_not_found; '' for what is none."""
    return error if isinstance(error, str) and _WORD.fullmatch(error) else ""


def _key(place: Any, stamp: Any) -> str | None:
    """A message's name: its time is only its own within its channel."""
    return f"{place}:{stamp}" if isinstance(place, str) and isinstance(stamp, str) and place and stamp else None
