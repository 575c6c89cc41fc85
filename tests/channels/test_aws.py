"""Do we sign calls to Amazon as botocore does, and understand its errors?"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from unittest.mock import patch
from urllib.parse import quote, urlencode

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.channels import aws
from dripdrop.contracts import HttpRequest, HttpResponse
from dripdrop.rules.outcome import Rejected, Unknown

NOW = datetime(2030, 3, 1, 9, 0, tzinfo=UTC)
CONFIG = {"region": "eu-central-1", "access_key": "AKIDEXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG", "now": NOW}


def theirs(request, config, service):
    """The Authorization header that botocore writes for the same request."""
    keys = Credentials(config["access_key"], config["secret"], config.get("session_token"))
    made = AWSRequest(request.method, request.url, dict(request.headers), request.body)
    with patch.object(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: NOW.replace(tzinfo=None)):
        botocore.auth.SigV4Auth(keys, service, config["region"]).add_auth(made)
    return made.headers


names = st.text("abcXYZ019-", min_size=1, max_size=8).map(lambda text: f"x-{text.strip('-').lower() or 'a'}")
values = st.text("abc XYZ,;=\"'/0", max_size=20).map(str.strip)
paths = st.lists(st.text("abcé %~+:@()", min_size=1, max_size=6), max_size=3)
queries = st.dictionaries(st.text("abcé &=+~", min_size=1, max_size=5), st.text("abcé &=+~/", max_size=5), max_size=3)


@given(
    st.sampled_from(["GET", "POST"]),
    paths,
    queries,
    st.dictionaries(names, values, max_size=3),
    st.binary(max_size=50),
    st.sampled_from(["ses", "sns"]),
    st.none() | st.text("abcXYZ/+=", min_size=1),
    st.sampled_from(["", ":443", ":4566"]),
)
def test_botocore_signs_the_same(method, path, query, headers, body, service, session, port):
    url = f"https://email.eu-central-1.amazonaws.com{port}/" + "/".join(quote(each, safe="") for each in path)
    url += f"?{urlencode(query, quote_via=quote)}" if query else ""
    config = {**CONFIG, "session_token": session}
    request = HttpRequest(method, url, tuple(headers.items()), body)
    ours = dict(aws.signed(request, config, service).headers)
    wanted = theirs(request, config, service)
    assert ours["authorization"] == wanted["Authorization"]
    assert ours["x-amz-date"] == wanted["X-Amz-Date"]
    assert ours.get("x-amz-security-token") == wanted.get("X-Amz-Security-Token")


def test_the_secret_does_not_travel():
    made = aws.signed(HttpRequest("POST", "https://sns.eu-central-1.amazonaws.com/", (), b"x"), CONFIG, "sns")
    assert CONFIG["secret"] not in repr(made)


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu-central-1", "https://sns.eu-central-1.amazonaws.com"),
        ("cn-north-1", "https://sns.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "https://sns.eusc-de-east-1.amazonaws.eu"),
    ],
)
def test_an_endpoint_is_the_regions(region, url):
    assert aws.endpoint({**CONFIG, "region": region}, "sns") == url
    assert aws.endpoint({**CONFIG, "base_url": "http://localhost:4566/"}, "sns") == "http://localhost:4566"


@pytest.mark.parametrize(
    ("headers", "body", "name"),
    [
        ({"x-amzn-errortype": "MessageRejected:http://internal.amazon.com/coral/"}, b"{}", "MessageRejected"),
        ({}, b'{"__type": "com.amazonaws.sesv2#BadRequestException"}', "BadRequestException"),
        ({}, b'{"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}', "Throttling"),
        (
            {},
            b"<ErrorResponse><Error><Code>InvalidClientTokenId</Code></Error></ErrorResponse>",
            "InvalidClientTokenId",
        ),
        ({}, b'{"code": "SendingPausedException"}', "SendingPausedException"),
        ({}, b"<html>", ""),
    ],
)
def test_an_error_has_a_name_in_every_protocol(headers, body, name):
    assert aws.error_name(HttpResponse(400, headers, body)) == name


@pytest.mark.parametrize(
    ("status", "name", "outcome"),
    [
        (400, "Throttling", ("temporary", "throttled")),
        (429, "TooManyRequestsException", ("temporary", "throttled")),
        (400, "ExpiredToken", ("temporary", "adapter")),
        (403, "SignatureDoesNotMatch", ("temporary", "adapter")),
        (400, "InternalFailure", ("temporary", "message")),
        (400, "BadRequestException", ("permanent", "message")),
        (503, "ServiceUnavailable", ("temporary", "message")),
    ],
)
def test_an_error_says_whose_fault_it_is(status, name, outcome):
    found = aws.refusal(HttpResponse(status, {}, json.dumps({"__type": name, "message": "ann@example.org"}).encode()))
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause) == outcome
    assert "ann@" not in repr(found)


def test_a_gateways_error_is_a_doubt():
    assert isinstance(aws.refusal(HttpResponse(504)), Unknown)


def test_credentials_name_what_is_missing_and_what_is_no_region():
    assert aws.credential_problems(CONFIG) == []
    assert [field for field, _ in aws.credential_problems({})] == ["region", "access_key", "secret"]
    assert aws.credential_problems({**CONFIG, "region": "eusc-de-east-1"}) == []
    assert aws.credential_problems({**CONFIG, "region": "Frankfurt"})[0][0] == "region"
