"""What would django-anymail send for this message?"""

from __future__ import annotations

import base64
import json
import warnings
from contextlib import contextmanager
from email.mime.image import MIMEImage
from unittest.mock import patch

import requests
from django.conf import settings
from requests.structures import CaseInsensitiveDict

from dripdrop.channels.email.mail import mailbox

_ANSWER = {
    "id": "<1@x>",
    "message": "Queued. Thank you.",
    "MessageID": "1",
    "ErrorCode": 0,
    "Message": "OK",
    "To": "ann@example.org",
}


@contextmanager
def wire():
    """Requests that would have left, as prepared by `requests`."""
    sent = []

    def send(session, request, **_):
        sent.append(request)
        response = requests.Response()
        response.status_code = 202 if "sendgrid" in request.url else 200
        response.headers = CaseInsensitiveDict({"Content-Type": "application/json", "X-Message-Id": "1"})
        response._content = json.dumps(_ANSWER).encode()
        response.request = request
        return response

    with patch.object(requests.Session, "send", send):
        yield sent


def sends(backend, email, *, metadata=None, tags=(), options=None, **setting):
    """The request that anymail's backend makes for our `Email`."""
    with wire() as sent:
        send(backend, email, metadata=metadata, tags=tags, options=options, **setting)
    (request,) = sent
    return request


def boto_params(email, *, options=None):
    """What anymail hands to boto3 for SendEmail of SES."""
    given = []

    class Client:
        def send_email(self, **params):
            given.append(params)
            return {"MessageId": "1"}

        def close(self):
            pass

    with patch("boto3.session.Session.client", lambda *_, **__: Client()):
        send("amazon_ses", email, options=options)
    return given[0]


def send(backend, email, *, metadata=None, tags=(), options=None, **setting):
    """Have anymail's backend send our `Email`."""
    if not settings.configured:
        settings.configure()
    from django.core.mail import EmailMultiAlternatives, get_connection

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that anymail supports SendGrid no more is not our question
        connection = get_connection(f"anymail.backends.{backend}.EmailBackend", **setting)
        message = EmailMultiAlternatives(
            subject=email.subject,
            body=email.text or "",
            from_email=mailbox(email.sender),
            to=[mailbox(each) for each in email.to],
            cc=[mailbox(each) for each in email.cc],
            bcc=[mailbox(each) for each in email.bcc],
            reply_to=[mailbox(each) for each in email.reply_to],
            headers=dict(email.headers),
            connection=connection,
        )
        if email.html is not None:
            message.attach_alternative(email.html, "text/html")
        for each in email.attachments:
            if each.content_id is None:
                message.attach(each.filename, each.content, each.content_type)
            else:
                image = MIMEImage(each.content, each.content_type.partition("/")[2])
                image.add_header("Content-Disposition", "inline", filename=each.filename)
                image.add_header("Content-ID", f"<{each.content_id}>")
                message.attach(image)
        if metadata:
            message.metadata = metadata
        if tags:
            message.tags = list(tags)
        message.esp_extra = options or {}
        message.send()


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
