"""How is an e-mail sent over SMTP? Connects with aiosmtplib; the hand-over itself is `smtp_dialogue`."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from dripdrop.channels.answers import unfit
from dripdrop.channels.sessions import NotOpened
from dripdrop.channels.smtp_dialogue import Dialogue, Lost
from dripdrop.channels.smtp_replies import Reply, refusal
from dripdrop.contracts import Config, Delivery
from dripdrop.errors import Invalid, MissingExtra
from dripdrop.rules.addresses import wire_address
from dripdrop.rules.mail import build, envelope_recipients, envelope_sender, needs_smtputf8, parse_address
from dripdrop.rules.message import Address, Email
from dripdrop.rules.outcome import Accepted, Neither, Outcome, Rejected

if TYPE_CHECKING:
    import aiosmtplib

_SUBMISSION = 587
_IMPLICIT_TLS = 465
_TIMEOUT = 30.0
_MESSAGES_PER_CONNECTION = 100
_YES = frozenset((True, 1, "1", "true", "yes", "on", "always", "required"))
_NO = frozenset((False, 0, "0", "false", "no", "off", "never", "none"))


class SmtpProvider:
    """Any SMTP relay.

    Config and credentials: `relay` (host, required), `port` (465 with `tls`, else 587), `username`, `password`, `tls`
    (implicit TLS; default where the port is 465), `starttls` ("auto", "always", "never"), `verify_tls` (default true),
    `ca_file`, `from`, `return_path`, `timeout` (seconds, for connecting), `local_hostname`, `connections`,
    `messages_per_connection`. With "auto", a password is never sent in the clear except to this machine.
    """

    channel = "email"
    name = "smtp"
    on_doubt = Neither()

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        problems = [] if str(credentials.get("relay") or "").strip() else [("relay", "is required")]
        port = credentials.get("port")
        if port not in (None, "") and not (str(port).isdigit() and 0 < int(port) < 65_536):
            problems.append(("port", "must be a number from 1 to 65535"))
        if credentials.get("password") and not credentials.get("username"):
            problems.append(("username", "is required with a password"))
        return problems

    def session_key(self, config: Config) -> Hashable:
        return _settings(config)

    async def open_session(self, config: Config) -> Dialogue:
        """Connect, encrypt, log in. Raises `NotOpened` with the outcome."""
        try:
            import aiosmtplib
        except ImportError as error:
            raise MissingExtra("SMTP", "smtp") from error
        settings = _settings(config)
        context = None
        if settings.tls or settings.starttls is not False:
            context = await asyncio.to_thread(_tls, settings.verify, settings.ca_file)
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            use_tls=settings.tls,
            start_tls=settings.starttls,
            tls_context=context,
            timeout=settings.timeout,
            local_hostname=settings.local_hostname or await asyncio.to_thread(_own_name),
        )
        try:
            await client.connect()
            await _introduce(client, settings)
        except (aiosmtplib.SMTPException, OSError) as error:
            client.close()
            raise NotOpened(_not_opened(error)) from error
        except BaseException:
            client.close()
            raise
        transport: Any = client.transport
        return Dialogue(transport, client.esmtp_extensions, messages=settings.messages)

    async def deliver(self, delivery: Delivery, config: Config, session: Dialogue) -> Outcome:
        message = delivery.message
        if not isinstance(message, Email):
            return Rejected("permanent", "message", None, {"reason": "not_an_email"})
        try:
            default = _default_sender(config)
            utf8 = needs_smtputf8(message, default) and "smtputf8" in session.extensions
            email = _completed(message, delivery, config, default)
            sender = _return_path(config) or envelope_sender(email, default, smtputf8=utf8)
            recipients = envelope_recipients(email, smtputf8=utf8)
            raw = build(email, boundary_seed=str(delivery.id), default_sender=default, smtputf8=utf8)
        except Invalid as error:
            return unfit(error)
        if not recipients:
            return Rejected("permanent", "message", None, {"reason": "recipient_missing"})
        outcome = await session.hand_over(sender, recipients, raw, person=delivery.recipient, smtputf8=utf8)
        if isinstance(outcome, Accepted):
            return Accepted((email.message_id or "").strip("<>"), outcome.meta)
        return outcome

    async def close_session(self, session: Dialogue) -> None:
        await session.quit()

    async def check(self, config: Config) -> str | None:
        """Connect, log in, NOOP, quit; the text says what did not work."""
        try:
            session = await self.open_session(config)
        except NotOpened as error:
            return _explained(error.outcome)
        try:
            reply = await session.noop()
        except Lost:
            return "The server hung up right after the greeting."
        finally:
            await session.quit()
        return None if reply.good else f"The server answered {reply.code} {reply.shown}"


@dataclass(frozen=True, slots=True)
class _Settings:
    """What a connection depends on, so what tells one from another."""

    host: str
    port: int
    username: str | None
    password: str | None
    tls: bool
    starttls: bool | None
    verify: bool
    ca_file: str | None
    timeout: float
    local_hostname: str | None
    messages: int


def _settings(config: Config) -> _Settings:
    host = str(config["relay"]).strip()
    port = config.get("port")
    tls = _switch(config.get("tls", config.get("ssl")))
    number = int(port) if port else (_IMPLICIT_TLS if tls else _SUBMISSION)
    tls = number == _IMPLICIT_TLS if tls is None else tls
    return _Settings(
        host=host,
        port=number,
        username=config.get("username") or None,
        password=config.get("password") or None,
        tls=tls,
        starttls=False if tls else _switch(config.get("starttls")),
        verify=_switch(config.get("verify_tls")) is not False,
        ca_file=config.get("ca_file") or None,
        timeout=float(config.get("timeout") or _TIMEOUT),
        local_hostname=config.get("local_hostname") or None,
        messages=int(config.get("messages_per_connection") or _MESSAGES_PER_CONNECTION),
    )


def _switch(value: Any) -> bool | None:
    """Yes, no, or (anything else, such as "auto") undecided."""
    known = value.strip().lower() if isinstance(value, str) else value
    return True if known in _YES else False if known in _NO else None


async def _introduce(client: aiosmtplib.SMTP, settings: _Settings) -> None:
    """EHLO, and the login where there is one."""
    import aiosmtplib

    if client.is_ehlo_or_helo_needed:
        try:
            await client.ehlo()
        except aiosmtplib.SMTPHeloError:
            await client.helo()
    if settings.username is None:
        return
    encrypted = client.get_transport_info("sslcontext") is not None
    if not encrypted and settings.starttls is None and not _is_this_machine(settings.host):
        raise NotOpened(Rejected("temporary", "adapter", None, {"reason": "login_without_tls"}))
    await client.login(settings.username, settings.password or "")


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _not_opened(error: Exception) -> Rejected:
    import aiosmtplib

    if isinstance(error, aiosmtplib.SMTPResponseException):
        rejected = refusal(Reply(error.code, error.message), "connect")
        reason = "login" if isinstance(error, aiosmtplib.SMTPAuthenticationError) else "connect"
        return replace(rejected, detail={**rejected.detail, "reason": reason})
    cause = error.__cause__ or error
    detail = {"reason": "connect", "why": type(cause).__name__}
    if isinstance(cause, ssl.SSLCertVerificationError):
        detail["why"] = "certificate"
    elif "not supported" in str(error):
        detail["why"] = "not_offered"  # STARTTLS or a way to log in
    return Rejected("temporary", "adapter", None, detail)


def _explained(outcome: Rejected) -> str:
    detail = outcome.detail
    if "reply" in detail:
        return f"The server answered {detail['reply']} {detail.get('text', '')}".strip()
    return {
        "certificate": "The server's certificate does not hold for this name.",
        "not_offered": "The server does not offer STARTTLS, or no way to log in that we know.",
    }.get(str(detail.get("why")), f"No connection: {detail.get('why') or detail.get('reason')}.")


def _completed(email: Email, delivery: Delivery, config: Config, default: Address | None) -> Email:
    """The e-mail with a Date and a Message-ID, which stays the same through every retry."""
    if email.date is not None and email.message_id:
        return email
    sender = email.sender or default
    domain = wire_address(sender.email, "sender", smtputf8=True).rpartition("@")[2] if sender else "localhost"
    return replace(email, date=email.date or config["now"], message_id=email.message_id or f"{delivery.id}@{domain}")


def _default_sender(config: Config) -> Address | None:
    value = config.get("from")
    return _parsed(str(value), "from") if value else None


def _return_path(config: Config) -> str | None:
    value = config.get("return_path")
    return wire_address(_parsed(str(value), "return_path").email, "return_path") if value else None


@lru_cache(maxsize=256)
def _parsed(text: str, path: str) -> Address:
    return parse_address(text, path)


@lru_cache(maxsize=64)
def _tls(verify: bool, ca_file: str | None) -> ssl.SSLContext:
    """Kept, since reading the system's certificates costs many times what a message does."""
    context = ssl.create_default_context(cafile=ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@lru_cache(maxsize=1)
def _own_name() -> str:
    return socket.getfqdn()
