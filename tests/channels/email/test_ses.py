"""Does SES get what it asks for, and do we understand all that its topics tell?"""

from __future__ import annotations

import base64
import json
from email import message_from_bytes, policy

import boto3
import botocore.session
import pytest
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator
from moto.server import ThreadedMotoServer
from tests.channels.anymail_oracle import boto_params
from tests.channels.email.letters import FULL, NOW, PLAIN, letter
from tests.channels.sns_topic import ARN, message, trusting
from tests.channels.test_aws import theirs

from dripdrop.channels.deliver import Speaker, doubt
from dripdrop.channels.email.ses import SesProvider
from dripdrop.channels.http import Sender
from dripdrop.contracts import DELIVERY_KEY, HttpRequest, HttpResponse, WebhookRequest
from dripdrop.errors import Invalid, Unauthorized
from dripdrop.rules.feedback import Feedback
from dripdrop.rules.outcome import Accepted, Neither, Rejected, Unknown

SES = SesProvider()
CONFIG = {"region": "eu-central-1", "access_key": "AKIDEXAMPLE", "secret": "wJalrXUtnFEMI", "now": NOW}
STEP = {
    "tags": ["welcome"],
    "metadata": {"plan": "pro"},
    "provider_options": {"FeedbackForwardingEmailAddress": "f@example.com"},
}
SENT = json.dumps({"MessageId": "010701"}).encode()


def payload(message=PLAIN, *, step=None, **config):
    return json.loads(SES.request(letter(message, step=step), {**CONFIG, **config}).body)


def answered(status, name="", said="", **headers):
    return SES.outcome(
        HttpResponse(status, {"x-amzn-errortype": name, **headers}, json.dumps({"message": said}).encode())
    )


def as_read(raw):
    """What a mail program makes of the octets: headers, and each part's type, name and content."""
    parsed = message_from_bytes(raw, policy=policy.default)
    heads = {
        name: str(parsed[name])
        for name in ("From", "To", "Cc", "Bcc", "Reply-To", "Subject", "List-Unsubscribe")
        if name in parsed
    }
    parts = [
        (
            each.get_content_type(),
            each.get_filename() or "",
            str(each["Content-ID"] or "").strip("<>"),
            each.get_content(),
        )
        for each in parsed.walk()
        if not each.is_multipart()
    ]
    plain = [(*each[:3], each[3].replace("\r\n", "\n") if isinstance(each[3], str) else each[3]) for each in parts]
    return heads, sorted(plain, key=lambda each: each[:3] if each[1] else ("", "", each[0]))


@pytest.mark.parametrize("email", [PLAIN, FULL], ids=["plain", "full"])
def test_botocore_would_send_the_same_and_signs_it_the_same(email):
    ours = SES.request(letter(email, step=STEP), {**CONFIG, "configuration_set": "main"})
    body = json.loads(ours.body)
    body["Content"]["Raw"]["Data"] = base64.b64decode(body["Content"]["Raw"]["Data"])
    model = botocore.session.get_session().get_service_model("sesv2")
    operation = model.operation_model("SendEmail")
    report = ParamValidator().validate(body, operation.input_shape)
    assert not report.has_errors(), report.generate_report()
    made = create_serializer("rest-json").serialize_to_request(body, operation)
    assert json.loads(made["body"]) == json.loads(ours.body)
    assert (ours.method, ours.url) == (made["method"], "https://email.eu-central-1.amazonaws.com" + made["url_path"])
    plain = tuple(each for each in ours.headers if each[0] in ("content-type", "accept"))
    signed = theirs(HttpRequest(ours.method, ours.url, plain, ours.body), CONFIG, "ses")
    assert dict(ours.headers)["authorization"] == signed["Authorization"]
    assert model.signing_name == "ses"


@pytest.mark.parametrize("email", [PLAIN, FULL], ids=["plain", "full"])
def test_anymail_would_send_the_same(email):
    """Its octets are the standard library's; a mail program reads the same in them."""
    sent = boto_params(email, options={"EmailTags": [{"Name": "plan", "Value": "pro"}]})
    ours = payload(email, step={"metadata": {"plan": "pro"}})
    tags = [*sent.pop("EmailTags"), {"Name": DELIVERY_KEY, "Value": str(letter().id)}]
    theirs, own = sent.pop("Content")["Raw"]["Data"], base64.b64decode(ours.pop("Content")["Raw"]["Data"])
    assert ours == {**sent, "EmailTags": tags}
    assert as_read(own) == as_read(theirs)


async def test_moto_receives_it():
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "x", "region_name": "eu-central-1"}
        client = boto3.client("ses", endpoint_url=f"http://{host}:{port}", **keys)
        client.verify_domain_identity(Domain="example.com")
        before = float(client.get_send_quota()["SentLast24Hours"])
        speaker = Speaker(Sender(allow=lambda: [f"127.0.0.1:{port}"]))
        config = {**CONFIG, "base_url": f"http://127.0.0.1:{port}"}
        found = await speaker.send(SES, letter(FULL), config, timeout=20)
        await speaker.aclose()
        assert isinstance(found, Accepted), found
        assert found.provider_message_id
        assert float(client.get_send_quota()["SentLast24Hours"]) > before
    finally:
        server.stop()


def test_bcc_stands_in_the_destination_alone():
    made = payload(FULL)
    assert made["Destination"]["BccAddresses"] == ["di@example.org"]
    assert b"di@example.org" not in base64.b64decode(made["Content"]["Raw"]["Data"])


@pytest.mark.parametrize(
    ("step", "feature"),
    [
        ({"tags": ["a", "b"]}, "several_tags"),
        ({"tags": ["not allowed"]}, "tags"),
        ({"metadata": {"plan": "a.b"}}, "metadata"),
        ({"metadata": {f"m{number}": "x" for number in range(50)}}, "metadata"),
        ({"metadata": {"tag": "x"}, "tags": ["a"]}, "metadata"),
    ],
)
def test_what_it_cannot_carry_is_refused_by_name(step, feature):
    with pytest.raises(Invalid) as caught:
        payload(step=step)
    assert (caught.value.code, caught.value.findings[0].path) == ("unsupported", feature)


@pytest.mark.parametrize("option", ["Destination", "content", "FromEmailAddress", "ReplyToAddresses", "EmailTags"])
def test_no_option_may_send_it_to_somebody_else(option):
    with pytest.raises(Invalid) as caught:
        payload(step={"provider_options": {option: "eve@example.net"}})
    assert caught.value.code == "provider_option"


@pytest.mark.parametrize(
    ("status", "name", "said", "outcome"),
    [
        (400, "MessageRejected", "Email contains a virus", ("permanent", "message")),
        (400, "MessageRejected", "Email address is not verified. The following...", ("temporary", "adapter")),
        (400, "MailFromDomainNotVerifiedException", "", ("temporary", "adapter")),
        (400, "AccountSuspendedException", "", ("temporary", "adapter")),
        (400, "SendingPausedException", "", ("temporary", "adapter")),
        (404, "NotFoundException", "Configuration set is not there", ("temporary", "adapter")),
        (400, "LimitExceededException", "", ("temporary", "throttled")),
        (429, "TooManyRequestsException", "Maximum sending rate exceeded.", ("temporary", "throttled")),
        (400, "BadRequestException", "", ("permanent", "message")),
        (403, "InvalidClientTokenId", "", ("temporary", "adapter")),
        (500, "InternalFailure", "", ("temporary", "message")),
    ],
)
def test_an_error_says_whose_fault_it_is(status, name, said, outcome):
    found = answered(status, name, said)
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause) == outcome
    assert found.detail["error"] == name


def test_accepted_with_its_id_and_nothing_can_be_done_about_a_doubt():
    assert SES.outcome(HttpResponse(200, {}, SENT)) == Accepted("010701", {"status": 200})
    assert isinstance(answered(504), Unknown)
    assert isinstance(doubt(SES), Neither)


def test_a_check_asks_for_the_account_and_is_content_with_a_key_that_may_only_send():
    assert SES.check_request(CONFIG).url == "https://email.eu-central-1.amazonaws.com/v2/email/account"
    assert SES.checked(HttpResponse(200, {}, b'{"SendingEnabled": true}')) is None
    assert "paused" in SES.checked(HttpResponse(200, {}, b'{"SendingEnabled": false}'))
    assert SES.checked(HttpResponse(403, {"x-amzn-errortype": "AccessDeniedException"})) is None
    assert "InvalidClientTokenId" in SES.checked(HttpResponse(403, {"x-amzn-errortype": "InvalidClientTokenId"}))


def posted(told, kind="Notification", **more):
    return json.dumps(message(told, kind, **more)).encode()


def test_a_subscription_of_our_own_topic_is_confirmed_and_no_other():
    body = posted("You have chosen to subscribe", "SubscriptionConfirmation")
    assert len(SES.needs(body, {})) == 1
    SES.verify_webhook(body, {}, trusting())
    confirming = SES.handshake(WebhookRequest("POST", "https://example.com/", {}, body), trusting())
    assert confirming.url.startswith("https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription")
    with pytest.raises(Unauthorized):
        SES.verify_webhook(body, {}, trusting(sns_topic_arn=ARN + "-other"))
    assert SES.handshake(WebhookRequest("POST", "https://example.com/", {}, posted("{}")), trusting()) is None
    (event,) = SES.parse_events(posted("Bye", "UnsubscribeConfirmation"), {})
    assert SES.normalize_feedback(event) is None


def test_the_greeting_of_a_topic_is_no_event_and_no_error():
    (event,) = SES.parse_events(posted("Successfully validated SNS topic for Amazon SES event publishing."), {})
    assert SES.normalize_feedback(event) is None
    assert SES.provider_event_id(event)


def event_of(**told):
    mail = {
        "messageId": "010701",
        "destination": ["ann@example.org", "bo@example.org"],
        "timestamp": "2030-03-01T09:00:00Z",
    }
    return SES.parse_events(posted({"mail": mail, **told}), {})


def test_everybody_who_bounced_is_told_of_and_nobody_else():
    several = [{"emailAddress": f"a{number}@example.org", "status": "5.1.1"} for number in range(1000)]
    bounce = {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": several}
    events = event_of(eventType="Bounce", bounce=bounce)
    told = [SES.normalize_feedback(each) for each in events]
    assert [each.recipient for each in told] == [each["emailAddress"] for each in several]
    assert {each.status for each in told} == {"bounced"}
    assert len({SES.provider_event_id(each) for each in events}) == 1000


def test_of_several_it_is_not_said_who_opened():
    (event,) = event_of(eventType="Open", open={"userAgent": "Mozilla", "ipAddress": "192.0.2.1"})
    assert SES.normalize_feedback(event).recipient is None


def test_a_subscription_is_told_of_by_topic():
    def chosen(all_of_it, **topics):
        return {
            "unsubscribeAll": all_of_it,
            "topicSubscriptionStatus": [
                {"topicName": name, "subscriptionStatus": each} for name, each in topics.items()
            ],
        }

    def told(old, new):
        events = event_of(
            eventType="Subscription", subscription={"oldTopicPreferences": old, "newTopicPreferences": new}
        )
        return [(each.status, each.topic) for each in map(SES.normalize_feedback, events) if isinstance(each, Feedback)]

    assert told(chosen(False, news="OptIn"), chosen(True, news="OptOut")) == [("unsubscribed", None)]
    assert told(chosen(False, news="OptIn", tips="OptIn"), chosen(False, news="OptOut", tips="OptIn")) == [
        ("unsubscribed", "news")
    ]
    assert told(chosen(True, news="OptOut"), chosen(False, news="OptIn")) == [
        ("resubscribed", None),
        ("resubscribed", "news"),
    ]
    assert told(chosen(False), chosen(False)) == []
