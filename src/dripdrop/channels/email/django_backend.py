"""How does an e-mail go through the EMAIL_BACKEND of the host's own Django project?

Backends: https://docs.djangoproject.com/en/stable/topics/email/#email-backends. Tags, metadata, options and what became
of a message: https://anymail.dev/en/stable/sending/anymail_additions/, for every provider of django-anymail.
In doubt nothing can be done: no backend takes a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.encoders import encode_base64
from email.mime.base import MIMEBase
from typing import Any

from dripdrop.channels.answers import unfit
from dripdrop.channels.email import django_errors
from dripdrop.channels.email.mail import Mail, mailbox, read
from dripdrop.contracts import DELIVERY_KEY, Config, Delivery
from dripdrop.errors import Invalid
from dripdrop.rules.message import Attachment
from dripdrop.rules.outcome import Accepted, Neither, Outcome, Rejected

_ONLY_ANYMAIL = frozenset(("tags", "several_tags", "metadata", "provider_options"))
_REFUSED = frozenset(("rejected", "invalid"))


class DjangoProvider:
    """Django's configured backend, in a thread; the worker runs with the project's settings (`--app` sets them up).

    Credentials: none, they stand in the project's settings. Config: `from` (default DEFAULT_FROM_EMAIL), `backend` (a
    path, default EMAIL_BACKEND), `backend_options` (what the backend's class takes, such as `host`). With a backend of
    django-anymail also `tags`, `metadata` and `provider_options` (its esp_extra); its webhooks stay with it.
    """

    channel = "email"
    name = "django"
    on_doubt = Neither()

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        return []

    def deliver(self, delivery: Delivery, config: Config) -> Outcome:
        """Blocking. A connection that cannot be opened is a rejection; what is raised later is judged by its kind."""
        try:
            connection = _connection(config)
            anymail = _is_anymail(connection)
            default = config.get("from") or _default_sender()
            mail = read(delivery, {**config, "from": default}, lacks=frozenset() if anymail else _ONLY_ANYMAIL)
            message = _message(mail, connection, anymail=anymail)
            connection.open()
        except Invalid as error:
            return unfit(error)
        except Exception as error:
            return django_errors.before(error)
        try:
            return _sent(connection, message, delivery.recipient)
        except Exception as error:
            return django_errors.during(error, delivery.recipient)
        finally:
            _close(connection)

    def check(self, config: Config) -> str | None:
        """Blocking: open the connection and close it."""
        try:
            connection = _connection(config)
            connection.open()
            connection.close()
        except Exception as error:
            return f"The backend cannot be opened: {type(error).__name__}."
        return None


def _connection(config: Config) -> Any:
    from django.core.mail import get_connection

    return get_connection(config.get("backend") or None, fail_silently=False, **(config.get("backend_options") or {}))


def _default_sender() -> str:
    from django.conf import settings

    return str(settings.DEFAULT_FROM_EMAIL)


def _is_anymail(connection: Any) -> bool:
    try:
        from anymail.backends.base import AnymailBaseBackend
    except ImportError:
        return False
    return isinstance(connection, AnymailBaseBackend)


def _message(mail: Mail, connection: Any, *, anymail: bool) -> Any:
    from django.core.mail import EmailMultiAlternatives

    own = (("Message-ID", f"<{mail.message_id}>"),) if mail.message_id else ()
    only_html = mail.text is None and mail.html is not None
    message = EmailMultiAlternatives(
        subject=mail.subject,
        body=(mail.html if only_html else mail.text) or "",
        from_email=mailbox(mail.sender),
        to=[mailbox(each) for each in mail.to],
        cc=[mailbox(each) for each in mail.cc],
        bcc=[mailbox(each) for each in mail.bcc],
        reply_to=[mailbox(each) for each in mail.reply_to],
        headers=dict((*mail.headers, *own)),
        connection=connection,
    )
    if only_html:
        message.content_subtype = "html"
    elif mail.html is not None:
        message.attach_alternative(mail.html, "text/html")
    for each in mail.attachments:
        message.attach(each.filename, each.content, each.content_type)
    for each in mail.inline:
        message.attach(_image(each))
    if mail.inline and not mail.attachments:
        message.mixed_subtype = "related"  # else a mail program lists the images as files
    if anymail:
        message.metadata, message.tags, message.esp_extra = dict(mail.metadata), list(mail.tags), dict(mail.options)
    return message


def _image(attachment: Attachment) -> MIMEBase:
    main, _, sub = attachment.content_type.partition(";")[0].strip().partition("/")
    part = MIMEBase(main, sub or "octet-stream")
    part.set_payload(attachment.content)
    encode_base64(part)
    part.add_header("Content-Disposition", "inline", filename=attachment.filename)
    part.add_header("Content-ID", f"<{attachment.content_id}>")
    return part


def _sent(connection: Any, message: Any, person: str) -> Outcome:
    try:
        count = connection.send_messages([message])
    except Exception as error:
        if set(getattr(message, "metadata", ())) != {DELIVERY_KEY} or not django_errors.unsupported(error, "metadata"):
            raise
        del message.metadata  # the provider has none: nothing left, and our own id is no reason to refuse
        count = connection.send_messages([message])
    if count == 0:
        return Rejected("permanent", "policy", None, {"reason": "cancelled"})  # by a receiver of pre_send
    return _told(getattr(message, "anymail_status", None), person)


def _told(status: Any, person: str) -> Outcome:
    """What anymail says of the person: other recipients may fare otherwise, and bounce by themselves."""
    if status is None:
        return Accepted()
    by_address = {address.lower(): each for address, each in status.recipients.items()}
    own = by_address.get(person.lower())
    word = own.status if own is not None else None
    if word in _REFUSED:
        return Rejected("permanent", "recipient", None, {"reason": word})
    if word == "failed":
        return Rejected("permanent", "message", None, {"reason": word})
    identifier = own.message_id if own is not None else status.message_id
    return Accepted(identifier if isinstance(identifier, str) else None, {"status": word} if word else {})


def _close(connection: Any) -> None:
    try:
        connection.close()
    except Exception:  # whatever it says now, what became of the message is known
        return
