"""Does SNS get what it asks for, and do we understand its answers?"""

from __future__ import annotations

from datetime import UTC, datetime
from unittest.mock import patch
from urllib.parse import parse_qsl

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer
from moto.sns import sns_backends
from tests.channels.texts import ANN, NOW, text

from dripdrop.channels.deliver import Speaker
from dripdrop.channels.http import Sender
from dripdrop.channels.sms.aws_sns import AwsSnsProvider
from dripdrop.contracts import HttpResponse
from dripdrop.errors import Invalid
from dripdrop.rules.message import Email
from dripdrop.rules.outcome import Accepted, Rejected

SNS = AwsSnsProvider()
KEYS = {"region": "eu-west-1", "access_key": "AKIDEXAMPLE", "secret": "secret-example-1"}
CONFIG = {**KEYS, "now": NOW}
TAKEN = b"<R><PublishResult><MessageId>m1</MessageId></PublishResult></R>"
ERROR = "<ErrorResponse><Error><Code>{}</Code><Message>{}</Message></Error></ErrorResponse>"


def botocores(call, config=CONFIG, **arguments):
    """The prepared request that boto3 makes, which also validates the parameters."""
    kept = []
    client = boto3.client(
        "sns",
        region_name=config["region"],
        aws_access_key_id=config["access_key"],
        aws_secret_access_key=config["secret"],
        config=Config(retries={"max_attempts": 1}, tcp_keepalive=False),
    )

    def keep(request, **_):
        from botocore.awsrequest import AWSResponse

        kept.append(request)
        raw = type("Raw", (), {"stream": lambda self, **_: iter([TAKEN]), "headers": {}})()
        return AWSResponse(request.url, 200, {}, raw)

    client.meta.events.register("before-send.sns.*", keep)
    with patch("botocore.auth.get_current_datetime", lambda *_, **__: config["now"]):
        getattr(client, call)(**arguments)
    return kept[0]


def fields(request):
    body = request.body
    return sorted(parse_qsl(body.decode() if isinstance(body, bytes) else body, keep_blank_values=True))


@pytest.mark.parametrize(
    ("ours", "attributes"),
    [
        (text(), {"AWS.SNS.SMS.SMSType": "Transactional"}),
        (text(sender="ACME"), {"AWS.SNS.SMS.SMSType": "Transactional", "AWS.SNS.SMS.SenderID": "ACME"}),
        (
            text(sender="+14155550100", sms_type="promotional", max_price=0.5),
            {
                "AWS.SNS.SMS.SMSType": "Promotional",
                "AWS.SNS.SMS.MaxPrice": "0.5",
                "AWS.MM.SMS.OriginationNumber": "+14155550100",
            },
        ),
        (
            text(entity_id="1101", template_id="1107"),
            {"AWS.SNS.SMS.SMSType": "Transactional", "AWS.MM.SMS.EntityId": "1101", "AWS.MM.SMS.TemplateId": "1107"},
        ),
    ],
)
def test_boto3_would_send_and_sign_the_same(ours, attributes):
    told = {
        name: {"DataType": "Number" if name.endswith("MaxPrice") else "String", "StringValue": value}
        for name, value in sorted(attributes.items())
    }
    theirs = botocores("publish", PhoneNumber=ANN, Message=ours.message.body, MessageAttributes=told)
    request = SNS.request(ours, CONFIG)
    assert fields(request) == fields(theirs)
    assert (request.method, request.url) == (theirs.method, theirs.url)
    # Signed over the same headers and bytes, it would be the same signature: test_aws shows it for any request.
    assert "Credential=AKIDEXAMPLE/20300301/eu-west-1/sns/aws4_request" in dict(request.headers)["authorization"]


async def test_moto_takes_the_message_and_knows_who_opted_out():
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    sender = Sender(allow=lambda: (f"{host}:{port}",))
    speaker = Speaker(sender)
    try:
        here = {**KEYS, "now": datetime.now(UTC), "base_url": f"http://{host}:{port}"}
        outcome = await speaker.send(SNS, text("Hello"), here, timeout=20)
        assert isinstance(outcome, Accepted), outcome
        sent = sns_backends["123456789012"]["eu-west-1"].sms_messages
        assert sent[outcome.provider_message_id] == (ANN, "Hello")
        assert await speaker.check(SNS, here, timeout=20) is None
    finally:
        await speaker.aclose()
        await sender.aclose()
        server.stop()


@pytest.mark.parametrize(
    ("status", "code", "said", "outcome"),
    [
        (400, "OptedOut", "opted out", ("permanent", "opted_out")),
        (
            400,
            "InvalidParameter",
            "Invalid parameter: PhoneNumber",
            ("bounced", "recipient"),
        ),
        (400, "InvalidParameter", "Invalid parameter: Message too long", ("permanent", "message")),
        (400, "Throttling", "Rate exceeded", ("temporary", "throttled")),
        (403, "InvalidClientTokenId", "The security token is invalid", ("temporary", "adapter")),
        (403, "AuthorizationError", "not authorized to perform: SNS:Publish", ("temporary", "adapter")),
        (500, "InternalError", "", ("temporary", "message")),
    ],
)
def test_an_error_code_says_whose_fault_it_is(status, code, said, outcome):
    found = SNS.outcome(HttpResponse(status, {}, ERROR.format(code, said).encode()))
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause) == outcome
    assert found.detail["error"] == code


@pytest.mark.parametrize(
    ("delivery", "config", "code", "path"),
    [
        (text(media=["https://example.org/a.png"]), {}, "unsupported", "media_urls"),
        (text(), {"provider_options": {"MessageStructure": "json"}}, "unsupported", "provider_options"),
        (text(sms_type="urgent"), {}, "unsupported", "sms_type"),
        (text(to="0151 23"), {}, "phone_number", "to"),
    ],
)
def test_what_it_cannot_send_is_refused_by_name(delivery, config, code, path):
    with pytest.raises(Invalid) as caught:
        SNS.request(delivery, {**CONFIG, **config})
    assert (caught.value.code, caught.value.findings[0].path) == (code, path)


def test_a_number_is_sent_as_it_is_looked_up_among_the_suppressed():
    assert ("PhoneNumber", "+14155550123") in fields(SNS.request(text(to="(415) 555-0123"), CONFIG))


def test_only_a_text_message_is_sent():
    from tests.channels.texts import delivery

    with pytest.raises(Invalid) as caught:
        SNS.request(delivery(Email((), "x"), "ann@example.org", "sms"), CONFIG)
    assert caught.value.code == "wrong_message"


def test_a_check_explains_a_refusal():
    told = SNS.checked(HttpResponse(403, {}, ERROR.format("InvalidClientTokenId", "The token is invalid").encode()))
    assert "403 InvalidClientTokenId" in told
