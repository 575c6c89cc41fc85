"""What does it mean for a message that Django's backend raised?

https://anymail.dev/en/stable/sending/exceptions/ and https://docs.python.org/3/library/smtplib.html.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator, Mapping
from typing import Any

from dripdrop.channels import aws
from dripdrop.channels.answers import by_status
from dripdrop.channels.smtp_replies import Reply, refusal, refusal_of_all
from dripdrop.contracts import HttpResponse
from dripdrop.rules.outcome import Outcome, Rejected, Unknown

# Raised by anymail, or by Django, while the call is being made ready: nothing has left.
_NOT_READY: Mapping[str, tuple[str, str]] = {
    "AnymailUnsupportedFeature": ("message", "unsupported"),
    "AnymailSerializationError": ("message", "not_serializable"),
    "AnymailInvalidAddress": ("recipient", "address"),
    "BadHeaderError": ("message", "header"),
    "AnymailConfigurationError": ("adapter", "configuration"),
    "AnymailImproperlyInstalled": ("adapter", "configuration"),
    "ImproperlyConfigured": ("adapter", "configuration"),
}
# Of requests, urllib3 and botocore: no connection was made.
_NO_CONNECTION = frozenset(
    ("ConnectTimeout", "ConnectTimeoutError", "EndpointConnectionError", "NameResolutionError", "NewConnectionError")
)
_CREDENTIALS = frozenset(("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError"))
_LOGIN = (
    smtplib.SMTPAuthenticationError,
    smtplib.SMTPConnectError,
    smtplib.SMTPHeloError,
    smtplib.SMTPNotSupportedError,
)


def before(error: Exception) -> Rejected:
    """The backend could not be made, or not be opened: the adapter's trouble, and nothing has left."""
    if isinstance(error, smtplib.SMTPResponseException):
        return refusal(_reply(error.smtp_code, error.smtp_error), "connect")
    reason = (
        "missing_extra" if isinstance(error, ImportError) else "connect" if isinstance(error, OSError) else "backend"
    )
    return Rejected("temporary", "adapter", None, {"reason": reason, "exception": type(error).__name__})


def during(error: Exception, person: str) -> Outcome:
    """What was raised while it was sent; unless its kind says that nothing was taken, it is a doubt."""
    if isinstance(error, smtplib.SMTPException):
        return _smtp(error, person)
    kinds = [kind.__name__ for kind in type(error).__mro__]
    if "AnymailRecipientsRefused" in kinds:
        return Rejected("permanent", "recipient", None, {"reason": "refused"})
    for kind in kinds:
        if kind in _NOT_READY:
            cause, reason = _NOT_READY[kind]
            final = cause != "adapter"
            return Rejected("permanent" if final else "temporary", cause, None, {"reason": reason})  # type: ignore[arg-type]
    causes = [type(each).__name__ for each in _causes(error)]
    if any(each in _NO_CONNECTION or each in _CREDENTIALS for each in causes):
        return Rejected("temporary", "adapter", None, {"reason": "connect", "exception": causes[-1]})
    answer = _answer(error)
    if answer is not None and not 200 <= answer.status < 300:
        return aws.refusal(answer) if aws.error_name(answer) else by_status(answer)
    return Unknown({"reason": "backend_raised", "exception": type(error).__name__})


def unsupported(error: Exception, feature: str) -> bool:
    """Whether anymail refused to send since its provider lacks this feature."""
    return type(error).__name__ == "AnymailUnsupportedFeature" and feature in str(error)


def _smtp(error: smtplib.SMTPException, person: str) -> Outcome:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return refusal_of_all([(who, _reply(*said)) for who, said in error.recipients.items()], person)
    if isinstance(error, _LOGIN):
        return before(error)
    if isinstance(error, smtplib.SMTPSenderRefused):
        return refusal(_reply(error.smtp_code, error.smtp_error), "mail")
    if isinstance(error, smtplib.SMTPDataError):
        return refusal(_reply(error.smtp_code, error.smtp_error), "data")
    return Unknown({"reason": "backend_raised", "exception": type(error).__name__})


def _reply(code: Any, text: Any) -> Reply:
    return Reply(int(code), text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, and whatever it came of; requests hands its causes over as arguments."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, *one.args, getattr(one, "reason", None)]


def _answer(error: Exception) -> HttpResponse | None:
    """The provider's answer, as `requests` or botocore kept it with the exception."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        told, failed = response.get("ResponseMetadata") or {}, response.get("Error") or {}
        status, name = told.get("HTTPStatusCode"), str(failed.get("Code") or "")
        return HttpResponse(status, {"x-amzn-errortype": name}) if isinstance(status, int) else None
    status = getattr(response, "status_code", None)
    if not isinstance(status, int):
        return None
    headers = getattr(response, "headers", None) or {}
    return HttpResponse(status, {str(name).lower(): str(value) for name, value in headers.items()})
