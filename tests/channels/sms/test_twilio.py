"""Does Twilio get what it asks for, do we understand its answers, and whom do we believe?"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.channels.texts import ANN, NOW, text
from twilio.base.exceptions import TwilioRestException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from dripdrop.channels.deliver import Speaker, doubt
from dripdrop.channels.http import Sender
from dripdrop.channels.sms.twilio import TwilioProvider
from dripdrop.contracts import DELIVERY_KEY, QUERY, HttpResponse, WebhookRequest
from dripdrop.errors import Invalid, Unauthorized
from dripdrop.rules.outcome import Accepted, Neither, Rejected, Unknown

TWILIO = TwilioProvider()
SID, TOKEN, SERVICE = "AC" + "1" * 32, "auth-token-1", "MG" + "2" * 32
HOOK = "https://mail.example.org/webhooks/twilio/0190"
CONFIG = {"account_sid": SID, "auth_token": TOKEN, "from": "+14155550100", "now": NOW}
OURS = f"{HOOK}?{DELIVERY_KEY}={text().id}"


class Recorder(HttpClient):
    """What Twilio's own client would send."""

    def __init__(self):
        super().__init__(logging.getLogger("recorder"), False)
        self.calls = []

    def request(self, method, url, params=None, data=None, headers=None, auth=None, **_):
        self.calls.append((method.upper(), url, data, auth))
        return Response(201, json.dumps({"sid": "SM1", "status": "queued"}))


def fields(request):
    return sorted(parse_qsl(request.body.decode(), keep_blank_values=True))


@pytest.mark.parametrize(
    ("ours", "config", "theirs"),
    [
        (text(), {}, {"from_": "+14155550100"}),
        (text(sender="ACME"), {"webhook_url": HOOK}, {"from_": "ACME", "status_callback": OURS}),
        (text(sender=SERVICE), {"from": None}, {"messaging_service_sid": SERVICE}),
        (
            text(media=["https://example.org/a.png", "https://example.org/b.png"]),
            {"messaging_service_sid": SERVICE, "validity_period": 600},
            {
                "from_": "+14155550100",
                "messaging_service_sid": SERVICE,
                "validity_period": 600,
                "media_url": ["https://example.org/a.png", "https://example.org/b.png"],
            },
        ),
        (
            text(provider_options={"MaxPrice": "0.1", "SmartEncoded": True, "PersistentAction": ["a", "b"]}),
            {},
            {"from_": "+14155550100", "max_price": 0.1, "smart_encoded": True, "persistent_action": ["a", "b"]},
        ),
    ],
)
def test_twilios_own_client_would_send_the_same(ours, config, theirs):
    recorder = Recorder()
    Client(SID, TOKEN, http_client=recorder).messages.create(to=ANN, body=ours.message.body, **theirs)
    ((method, url, data, auth),) = recorder.calls
    request = TWILIO.request(ours, {**CONFIG, **config})
    several = [
        (name, str(each).lower() if isinstance(each, bool) else str(each))
        for name, value in data.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    assert fields(request) == sorted(several)
    assert (request.method, request.url) == (method, url)
    assert dict(request.headers)["authorization"] == "Basic " + base64.b64encode(":".join(auth).encode()).decode()


def test_an_api_key_may_send_and_an_auth_token_that_is_rotated_too():
    by_key = TWILIO.request(text(), {**CONFIG, "api_key": "SK1", "api_secret": "s1"})
    assert dict(by_key.headers)["authorization"] == "Basic " + base64.b64encode(b"SK1:s1").decode()
    rotated = TWILIO.request(text(), {**CONFIG, "auth_token": ["new", TOKEN]})
    assert dict(rotated.headers)["authorization"] == "Basic " + base64.b64encode(f"{SID}:new".encode()).decode()


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({}, None),
        ({"webhook_url": HOOK}, OURS),
        (
            {"webhook_url": HOOK, "status_callback": "https://hooks.example.org/t?a=1"},
            "https://hooks.example.org/t?a=1&",
        ),
        ({"webhook_url": HOOK, "status_callback": False}, None),
        ({"webhook_url": "http://localhost:8000/webhooks/twilio/1"}, None),
    ],
)
def test_statuses_come_to_us_wherever_twilio_can_reach_us(config, place):
    sent = dict(fields(TWILIO.request(text(), {**CONFIG, **config}))).get("StatusCallback")
    assert sent == place if place is None or "&" not in place else sent == f"{place}{DELIVERY_KEY}={text().id}"


@pytest.mark.parametrize(
    ("delivery", "config", "code", "path"),
    [
        (text(media=["https://example.org/a.png"] * 11), {}, "unsupported", "media_urls[10]"),
        (text(to="call me"), {}, "phone_number", "to"),
        (text(), {"from": " "}, "sender_missing", "from"),
        (text(provider_options={"To": "+14155550199"}), {}, "provider_option", "provider_options.To"),
        (text(provider_options={"statuscallback": "https://x.org"}), {}, "provider_option", None),
    ],
)
def test_what_it_cannot_send_is_refused_by_name(delivery, config, code, path):
    with pytest.raises(Invalid) as caught:
        TWILIO.request(delivery, {**CONFIG, **config})
    assert caught.value.code == code
    assert path is None or caught.value.findings[0].path == path


def answered(status, said=None, **headers):
    return TWILIO.outcome(HttpResponse(status, headers, b"" if said is None else json.dumps(said).encode()))


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (400, 21610, ("permanent", "opted_out")),
        (400, 21211, ("bounced", "recipient")),
        (400, 21614, ("bounced", "recipient")),
        (400, 21408, ("permanent", "policy")),
        (400, 21606, ("temporary", "adapter")),
        (400, 21617, ("permanent", "message")),
        (400, 99999, ("permanent", "message")),
        (401, 20003, ("temporary", "adapter")),
        (403, 20005, ("temporary", "adapter")),
        (404, 20404, ("temporary", "adapter")),
        (429, 20429, ("temporary", "throttled")),
        (429, 14107, ("temporary", "throttled")),
        (500, 20500, ("temporary", "message")),
        (503, 20503, ("temporary", "message")),
    ],
)
def test_an_error_code_says_whose_fault_it_is(status, code, outcome):
    found = answered(status, {"code": code, "message": f"The 'To' number {ANN} is none.", "status": status})
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause, found.detail["code"]) == (*outcome, code)
    assert ANN not in str(found.detail)


def test_twilios_own_client_finds_the_code_where_we_do():
    class Refusing(Recorder):
        def request(self, *_, **__):
            return Response(400, json.dumps({"code": 21610, "message": "unsubscribed", "status": 400}))

    with pytest.raises(TwilioRestException) as caught:
        Client(SID, TOKEN, http_client=Refusing()).messages.create(to=ANN, from_="+14155550100", body="x")
    assert caught.value.code == answered(400, {"code": 21610}).detail["code"]


def test_accepted_with_its_id_and_a_doubt_is_settled_by_nobody_but_the_callback():
    assert answered(201, {"sid": "SM1", "status": "queued"}) == Accepted("SM1", {"status": 201, "state": "queued"})
    assert isinstance(answered(504), Unknown)
    assert answered(429, {"code": 20429}, **{"retry-after": "3"}).retry_after == 3.0
    assert isinstance(doubt(TWILIO), Neither)


async def test_a_person_without_a_number_is_not_asked_for():
    def never(request):
        raise AssertionError("nothing may leave")

    speaker = Speaker(Sender(transport=httpx2.MockTransport(never)))
    found = await speaker.send(TWILIO, text(to="12"), CONFIG, timeout=5)
    assert (found.kind, found.cause, found.detail["reason"]) == ("permanent", "recipient", "phone_number")


def test_a_check_tells_of_an_account_that_is_closed():
    assert TWILIO.check_request(CONFIG).url == f"https://api.twilio.com/2010-04-01/Accounts/{SID}.json"
    assert TWILIO.checked(HttpResponse(200, {}, b'{"status": "active"}')) is None
    assert "suspended" in TWILIO.checked(HttpResponse(200, {}, b'{"status": "suspended"}'))
    assert "401" in TWILIO.checked(HttpResponse(401, {}, b'{"message": "Authenticate"}'))


def test_credentials_name_what_is_missing():
    assert TWILIO.validate_credentials({"account_sid": SID, "auth_token": ["new", "old"]}) == []
    assert [each for each, _ in TWILIO.validate_credentials({"api_key": "SK1"})] == [
        "account_sid",
        "auth_token",
        "api_secret",
    ]


FORM = {"content-type": "application/x-www-form-urlencoded"}
STATUS = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": ANN, "From": "+14155550100", "AccountSid": SID}


def holds(body, headers, url, **config):
    try:
        TWILIO.verify_webhook(body, headers, {**CONFIG, "url": url, **config})
    except Unauthorized:
        return False
    return True


def signed(url, params, token=TOKEN, algorithm=None):
    return {**FORM, "x-twilio-signature": RequestValidator(token).compute_signature(url, params, algorithm)}


def test_the_published_vectors_hold():
    # https://www.twilio.com/docs/usage/security and the tests of twilio-python (tests/unit/test_request_validator.py).
    params = {"CallSid": "CA1234567890ABCDE", "Digits": "1234", "From": "+14158675309", "To": "+18005551212"}
    params["Caller"] = "+14158675309"
    body, url = urlencode(params).encode(), "https://mycompany.com/myapp.php?foo=1&bar=2"
    headers = {**FORM, "x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="}
    assert RequestValidator("12345").validate(url, params, headers["x-twilio-signature"])
    assert holds(body, headers, url, auth_token="12345")
    assert holds(body, headers, url.replace("mycompany.com", "mycompany.com:443"), auth_token="12345")
    assert not holds(body, headers, url.replace("https", "http"), auth_token="12345")
    assert not holds(body, headers, url, auth_token="12346")


@pytest.mark.parametrize("seen", ["https://h.example.org:443/x?a=1", "https://h.example.org/x?a=1"])
@pytest.mark.parametrize("called", ["https://h.example.org:443/x?a=1", "https://h.example.org/x?a=1"])
def test_a_port_that_is_written_or_not_makes_no_difference(seen, called):
    assert holds(urlencode(STATUS).encode(), signed(called, STATUS), seen)


def test_a_proxy_that_hides_the_port_or_the_scheme_is_told_by_the_url_as_it_was_called():
    headers = signed("https://mail.example.org/webhooks/twilio/1", STATUS)
    assert holds(urlencode(STATUS).encode(), headers, "https://mail.example.org/webhooks/twilio/1")
    assert not holds(urlencode(STATUS).encode(), headers, "http://10.0.0.7:8000/webhooks/twilio/1")


def test_a_repeated_field_is_signed_with_each_of_its_values():
    class Several(dict):
        def getlist(self, name):
            return self[name]

    body = b"MediaUrl=b&MediaUrl=a&MediaUrl=b&MessageSid=SM1&Body="
    params = Several({"MediaUrl": ["b", "a", "b"], "MessageSid": ["SM1"], "Body": [""]})
    assert holds(body, signed(HOOK, params), HOOK)


def json_call(body, **query):
    url = f"{HOOK}?{urlencode({'bodySHA256': hashlib.sha256(body).hexdigest(), **query})}"
    return url, {**signed(url, {}), "content-type": "application/json"}


def test_of_a_body_that_is_no_form_the_hash_is_signed():
    body = json.dumps([{"data": STATUS}]).encode()
    url, headers = json_call(body)
    assert RequestValidator(TOKEN).validate(url, body.decode(), headers["x-twilio-signature"])
    assert holds(body, headers, url)
    assert not holds(body + b" ", headers, url)
    assert not holds(body, {**headers, **FORM}, url)
    assert not holds(body, headers, HOOK)


def test_a_shared_key_signs_with_sha256():
    headers = signed(HOOK, STATUS, "shared-key-1", "HMAC_SHA256")
    headers["x-twilio-webhooks-signature-settings"] = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
    body = urlencode(STATUS).encode()
    assert holds(body, headers, HOOK, webhook_shared_key="shared-key-1")
    assert not holds(body, headers, HOOK)
    assert not holds(body, {**headers, "x-twilio-webhooks-signature-settings": "algorithm=MD5"}, HOOK)


names = st.sampled_from(["Body", "MessageSid", "From", "To", "Ünï", "", "a b"])
values = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(
    params=st.dictionaries(names, values, max_size=5),
    query=st.dictionaries(names, values, max_size=3),
    port=st.booleans(),
)
@example(params={"a b": "", "": "x"}, query={"": ""}, port=False)
def test_whatever_is_said_twilios_library_and_we_agree(params, query, port):
    url = f"https://h.example.org{':443' if port else ''}/x?{urlencode(query)}"
    url = url.rstrip("?")
    headers = signed(url, params)
    assert holds(urlencode(params).encode(), headers, url)
    assert RequestValidator(TOKEN).validate(url, params, headers["x-twilio-signature"])


@given(st.data())
def test_with_any_byte_flipped_we_and_twilios_library_say_the_same(data):
    body, url = urlencode(STATUS).encode(), f"{HOOK}?a=1"
    signature = RequestValidator(TOKEN).compute_signature(url, STATUS)
    parts = [bytearray(body), bytearray(base64.b64decode(signature)), bytearray(url.encode())]
    which = data.draw(st.integers(0, 2))
    at = data.draw(st.integers(8 if which == 2 else 0, len(parts[which]) - 1))
    parts[which][at] ^= data.draw(st.sampled_from([1, 2, 4, 8, 16]))
    changed, given_signature = parts[0], base64.b64encode(parts[1]).decode()
    seen = parts[2].decode("latin-1")
    try:
        params = dict(parse_qsl(changed.decode(), keep_blank_values=True))
        theirs = RequestValidator(TOKEN).validate(seen, params, given_signature)
    except ValueError:
        theirs = False
    ours = holds(bytes(changed), {**FORM, "x-twilio-signature": given_signature}, seen)
    assert ours == theirs


def test_our_delivery_is_named_by_the_url_that_was_called():
    headers = {**FORM, QUERY: f"{DELIVERY_KEY}=0190c0de-0000-7000-8000-000000000001"}
    (event,) = TWILIO.parse_events(urlencode(STATUS).encode(), headers)
    assert TWILIO.resolve_delivery(event) == {
        "delivery_id": "0190c0de-0000-7000-8000-000000000001",
        "provider_message_id": "SM1",
    }
    assert parse_qs(urlsplit(OURS).query)[DELIVERY_KEY] == [str(text().id)]


def test_an_answer_says_nothing_to_the_person():
    answer = TWILIO.acknowledge(WebhookRequest("POST", HOOK))
    assert (answer.status, answer.headers, answer.body) == (200, {"content-type": "text/xml"}, b"<Response/>")


def test_an_hmac_by_hand_is_what_is_compared():
    wanted = base64.b64encode(hmac.digest(TOKEN.encode(), f"{HOOK}Ax".encode(), "sha1")).decode()
    assert holds(b"A=x", {**FORM, "x-twilio-signature": wanted}, HOOK)
