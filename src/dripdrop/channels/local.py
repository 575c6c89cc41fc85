"""Where do messages go that must not leave this machine? Into a mailbox on disk, for development and tests."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from dripdrop.contracts import Config, Delivery
from dripdrop.errors import Invalid
from dripdrop.rules.mail import build, envelope_recipients, needs_smtputf8, parse_address
from dripdrop.rules.message import Address, Email
from dripdrop.rules.outcome import Accepted, Idempotent, Outcome, Rejected

DEFAULT_FOLDER = ".dripdrop/mailbox"
CHANNELS = ("email", "sms", "slack", "telegram", "whatsapp", "webhook")
_NOBODY = Address("dripdrop@localhost", "DripDrop")
_FILE = re.compile(r"\d{8}T\d{12}-[0-9a-f-]{36}\.json")


class LocalProvider:
    """Accepts every message of its channel and keeps it in config `folder`, one JSON file each, `.eml` beside it.

    Deliveries are told apart by their id: a second one with the same id changes nothing.
    """

    name = "local"
    on_doubt = Idempotent(timedelta(days=3650))  # the mailbox never forgets an id

    def __init__(self, channel: str) -> None:
        self.channel = channel

    def __repr__(self) -> str:
        return f"LocalProvider({self.channel!r})"

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        return []

    def check(self, config: Config) -> str | None:
        folder = _folder(config)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return f"The mailbox folder cannot be made: {error.strerror}."
        return None if os.access(folder, os.W_OK) else "The mailbox folder cannot be written to."

    def deliver(self, delivery: Delivery, config: Config) -> Outcome:
        """Keep one message; blocking, since it writes to disk."""
        folder = _folder(config)
        try:
            kept, raw = _kept(self.channel, delivery, config)
        except Invalid as error:
            return Rejected("permanent", "message", None, {"reason": error.code})
        folder.mkdir(parents=True, exist_ok=True)
        name = _claimed(folder, delivery.id, config["now"])
        if not (folder / name).exists():
            if raw is not None:
                _write(folder / f"{name[:-5]}.eml", raw)
            _write(folder / name, orjson.dumps(kept, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
        return Accepted(str(delivery.id), {"mailbox": name})


def list_messages(
    folder: str | Path = DEFAULT_FOLDER, *, channel: str | None = None, limit: int = 200
) -> list[dict[str, Any]]:
    """The newest messages first, as they were kept; `limit` bounds how many."""
    found: list[dict[str, Any]] = []
    with suppress(FileNotFoundError):
        for name in sorted((each for each in os.listdir(folder) if _FILE.fullmatch(each)), reverse=True):
            message = _load(Path(folder) / name)
            if message is not None and channel in (None, message.get("channel")):
                found.append(message)
            if len(found) >= limit:
                break
    return found


def read_message(folder: str | Path, identifier: str | UUID) -> dict[str, Any] | None:
    """One message by its delivery's id; None where there is none."""
    path = _path(Path(folder), identifier)
    return _load(path) if path is not None else None


def read_eml(folder: str | Path, identifier: str | UUID) -> bytes | None:
    """The octets of an e-mail as they would have gone to SMTP; None where there are none."""
    path = _path(Path(folder), identifier)
    with suppress(FileNotFoundError):
        return path.with_suffix(".eml").read_bytes() if path is not None else None
    return None


def _folder(config: Config) -> Path:
    return Path(config.get("folder") or DEFAULT_FOLDER)


def _kept(channel: str, delivery: Delivery, config: Config) -> tuple[dict[str, Any], bytes | None]:
    now: datetime = config["now"]
    kept: dict[str, Any] = {
        "id": str(delivery.id),
        "channel": channel,
        "at": now.astimezone(UTC).isoformat(),
        "recipient": delivery.recipient,
        "tenant": delivery.tenant_key,
        "sequence": delivery.enrollment.sequence_key,
        "step": delivery.step.key,
        "subscriber": f"{delivery.enrollment.subscriber_type}:{delivery.enrollment.subscriber_id}",
        "adapter": delivery.adapter.name,
        "idempotency_key": delivery.idempotency_key,
    }
    message = delivery.message
    if not isinstance(message, Email):
        return {**kept, "kind": type(message).__name__.lower(), "message": message}, None
    default = parse_address(str(config["from"]), "from") if config.get("from") else _NOBODY
    message = replace(
        message,
        date=message.date or now,
        message_id=message.message_id or f"{delivery.id}@localhost",
        sender=message.sender or default,
    )
    utf8 = needs_smtputf8(message)
    raw = build(message, boundary_seed=str(delivery.id), smtputf8=utf8)
    shown = replace(message, attachments=())
    files = [
        {"filename": each.filename, "content_type": each.content_type, "bytes": len(each.content)}
        for each in message.attachments
    ]
    envelope = envelope_recipients(message, smtputf8=utf8)
    return {**kept, "kind": "email", "message": shown, "attachments": files, "envelope": envelope}, raw


def _claimed(folder: Path, identifier: UUID, now: datetime) -> str:
    """The file name of this delivery: decided once, by whoever is first, and the same ever after."""
    ids = folder / ".ids"
    ids.mkdir(exist_ok=True)
    name = f"{now.astimezone(UTC):%Y%m%dT%H%M%S%f}-{identifier}.json"
    marker = ids / str(identifier)
    try:
        with marker.open("x") as file:
            file.write(name)
    except FileExistsError:
        return marker.read_text() or name  # empty: whoever was first died before writing it
    return name


def _path(folder: Path, identifier: str | UUID) -> Path | None:
    try:
        name = (folder / ".ids" / str(UUID(str(identifier)))).read_text()
    except (ValueError, OSError):
        return None
    return folder / name if _FILE.fullmatch(name) else None


def _load(path: Path) -> dict[str, Any] | None:
    try:
        loaded = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return loaded if isinstance(loaded, dict) else None


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: readers never see half a file."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
