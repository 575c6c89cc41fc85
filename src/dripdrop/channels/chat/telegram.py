"""How does a Telegram bot send a message, and what does it tell us later?

The Bot API, https://core.telegram.org/bots/api: sendMessage, errors with their ResponseParameters, updates and the
secret header of setWebhook. A person must write to a bot first; who blocks it wants no more of it.
In doubt: https://core.telegram.org/bots/api#sendmessage has no key, and a bot cannot read what it sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dripdrop.channels import bodies, callers, given
from dripdrop.channels.answers import by_status, json_of, retry_after, saying
from dripdrop.channels.bodies import child, moment, string
from dripdrop.channels.email.provider import base_url, event_key
from dripdrop.contracts import Config, Delivery, HttpRequest, HttpResponse
from dripdrop.rules.addresses import refuse
from dripdrop.rules.feedback import Feedback, InboundMessage, Intent, Status
from dripdrop.rules.message import Chat
from dripdrop.rules.outcome import Accepted, Cause, Kind, Neither, Outcome, Rejected, Unknown

_API = "https://api.telegram.org"
_ALWAYS = (
    "business_connection_id", "message_thread_id", "disable_notification", "protect_content", "allow_paid_broadcast",
    "message_effect_id", "reply_parameters", "reply_markup", "parse_mode",
)  # fmt: skip
# The field that holds a file (by URL or id) -> the method that sends it; the text becomes its caption.
_FILES = {
    "photo": "sendPhoto",
    "document": "sendDocument",
    "video": "sendVideo",
    "animation": "sendAnimation",
    "audio": "sendAudio",
    "voice": "sendVoice",
}
_OF_TEXTS = (*_ALWAYS, "entities", "link_preview_options")
_OF_FILES = (*_ALWAYS, "caption_entities", "show_caption_above_media", "has_spoiler")

# The words of a description that say whose fault it is; the first that is found counts.
_REFUSALS: Sequence[tuple[str, tuple[Kind, Cause]]] = (
    ("bot was blocked by the user", ("permanent", "opted_out")),
    ("user is deactivated", ("bounced", "recipient")),
    ("bot can't initiate conversation", ("permanent", "recipient")),
    ("bot can't send messages to", ("permanent", "recipient")),
    ("bot was kicked", ("permanent", "recipient")),
    ("bot is not a member", ("permanent", "recipient")),
    ("group chat was upgraded", ("permanent", "recipient")),
    ("group chat was deleted", ("bounced", "recipient")),
    ("chat not found", ("permanent", "recipient")),
    ("user not found", ("permanent", "recipient")),
    ("peer_id_invalid", ("permanent", "recipient")),
    ("chat_write_forbidden", ("permanent", "recipient")),
    ("not enough rights", ("permanent", "recipient")),
)
# The contents of a message that somebody wrote, https://core.telegram.org/bots/api#message: without any of them it is a
# service message, such as that the bot may write now.
_CONTENTS = (
    "text", "rich_message", "animation", "audio", "document", "live_photo", "paid_media", "photo", "sticker", "story",
    "video", "video_note", "voice", "checklist", "contact", "dice", "game", "poll", "venue", "location",
)  # fmt: skip
_INTENTS: Mapping[str, Intent] = {"/stop": "unsubscribe", "/unsubscribe": "unsubscribe", "/start": "resubscribe"}
_MEMBERS: Mapping[str, Status] = {"kicked": "unsubscribed", "member": "resubscribed"}


class TelegramProvider:
    """A bot: it writes to the chat that the person's data names (`telegram`), or the step.

    Credentials: `bot_token`; `webhook_secret`, the `secret_token` of setWebhook (a list while it is rotated). Config:
    `parse_mode` (HTML or MarkdownV2), `base_url` (a server of your own).
    """

    channel = "telegram"
    name = "bot_api"
    on_doubt = Neither()

    def request(self, delivery: Delivery, config: Config) -> HttpRequest:
        """Raises `Invalid`: `wrong_message`, `recipient_missing`, `unsupported`."""
        message = given.message_of(delivery, Chat)
        if not message.to:
            refuse("recipient_missing", "to", "The message names no chat.", "Put `telegram` into the person's data.")
        files = [name for name in _FILES if message.extra.get(name)]
        if len(files) > 1:
            given.unsupported(files[1])
        method = _FILES[files[0]] if files else "sendMessage"
        mode = {"parse_mode": config["parse_mode"]} if config.get("parse_mode") else {}
        body = {
            "chat_id": message.to,
            "caption" if files else "text": message.text,
            **mode,
            **given.only(message.extra, (*files, *(_OF_FILES if files else _OF_TEXTS))),
        }
        return HttpRequest("POST", _url(config, method), _HEADERS, given.json_bytes(body))

    def outcome(self, response: HttpResponse) -> Outcome:
        answer = json_of(response)
        said = str(answer.get("description") or "")
        detail: dict[str, Any] = {"status": response.status, **({"said": saying(said)} if said else {})}
        if 200 <= response.status < 300:
            if answer.get("ok") is not True:
                return Unknown({"reason": "no_ok", **detail})
            return Accepted(_key(child(answer, "result")), {"status": response.status})
        wait = child(answer, "parameters", "retry_after")
        seconds = float(wait) if isinstance(wait, (int, float)) and not isinstance(wait, bool) else None
        if response.status == 429:
            return Rejected("temporary", "throttled", retry_after(response) if seconds is None else seconds, detail)
        if response.status == 404:  # there is no bot with this token
            return Rejected("temporary", "adapter", None, detail)
        if response.status in (400, 403):
            for words, (kind, cause) in _REFUSALS:
                if words in said.lower():
                    return Rejected(kind, cause, None, detail)
            if response.status == 403:
                return Rejected("permanent", "recipient", None, detail) if said else by_status(response, detail)
        return by_status(response, detail)

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        problems = given.missing(credentials, "bot_token")
        token = given.secret(credentials, "bot_token")
        if token and (":" not in token or "/" in token or not token.isascii()):
            problems.append(("bot_token", "is what BotFather says: numbers, a colon, letters"))
        return problems

    def check_request(self, config: Config) -> HttpRequest:
        return HttpRequest("GET", _url(config, "getMe"))

    def checked(self, response: HttpResponse) -> str | None:
        answer = json_of(response)
        if answer.get("ok") is True:
            return None
        return f"Telegram answered {response.status}: {saying(answer.get('description') or '')}"

    def webhook_routes(self, adapter: Any) -> Sequence[tuple[str, str]]:
        return (("POST", ""),)

    def verify_webhook(self, raw_body: bytes, headers: Mapping[str, str], config: Config) -> None:
        """Telegram signs nothing: it says a secret that only it was told."""
        secrets = callers.secrets(config, "webhook_secret")
        if not callers.any_same(callers.header(headers, "X-Telegram-Bot-Api-Secret-Token"), secrets):
            callers.refuse("The secret is wrong.", "Give setWebhook the adapter's webhook_secret as secret_token.")

    def parse_events(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        return [bodies.json_object(raw_body)]

    def provider_event_id(self, payload: Mapping[str, Any]) -> str | None:
        return event_key(string(payload, "update_id"))

    def resolve_delivery(self, payload: Mapping[str, Any]) -> Mapping[str, str] | None:
        """Of what it sent a bot is told nothing; what people do names at most the message they answer."""
        key = _key(child(payload, "message", "reply_to_message"))
        return {"provider_message_id": key} if key else None

    def normalize_feedback(self, payload: Mapping[str, Any]) -> Feedback | None:
        """Whether the person has blocked the bot, or takes it back."""
        change = child(payload, "my_chat_member")
        status = _MEMBERS.get(string(change, "new_chat_member", "status") or "")
        if status is None or string(change, "chat", "type") != "private":
            return None
        return Feedback(status, string(change, "chat", "id"), moment(child(change, "date")), event="my_chat_member")

    def parse_inbound(self, payload: Mapping[str, Any]) -> list[InboundMessage]:
        message = child(payload, "message")
        chat = string(message, "chat", "id")
        written = any(child(message, name) is not None for name in _CONTENTS)
        if chat is None or not written or child(message, "from", "is_bot") is True:
            return []
        text = string(message, "text") or string(message, "caption") or ""
        # In a group a command names its bot: /stop@acme_bot.
        command = (text.split() or [""])[0].partition("@")[0].lower()
        return [
            InboundMessage(
                sender=chat,
                to="",
                text=text,
                received_at=moment(child(message, "date")),
                intent=_INTENTS.get(command),
                provider_message_id=_key(message),
                replies_to=_key(child(message, "reply_to_message")),
            )
        ]


_HEADERS = (("content-type", "application/json"),)


def _url(config: Config, method: str) -> str:
    return f"{base_url(config, _API)}/bot{given.secret(config, 'bot_token')}/{method}"


def _key(message: Any) -> str | None:
    """A message's name: its number is only its own within its chat; 0 is none (ephemeral, or sent later)."""
    chat, number = string(message, "chat", "id"), string(message, "message_id")
    return f"{chat}:{number}" if chat and number and number != "0" else None
