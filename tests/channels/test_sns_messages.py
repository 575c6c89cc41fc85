"""Is nothing believed but what SNS signed for our own topic?"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from tests.channels.sns_topic import ARN, CONFIRM, NOW, URL, chain, issue, message, trusting

from dripdrop.channels import sns_messages
from dripdrop.contracts import HttpRequest, Verified
from dripdrop.errors import Unauthorized

HOME = "https://sns.eu-central-1.amazonaws.com"
SIGNED = json.dumps(message("Hello", Subject="Greeting")).encode()


def holds(told, config=None):
    try:
        return sns_messages.verify(told, config or trusting())
    except Unauthorized:
        return None


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("kind", ["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_what_sns_signed_is_believed_once(kind, version):
    told = message("Hello", kind, version=version)
    assert holds(told) == Verified((told["MessageId"],))
    assert sns_messages.needs(told) == [URL]


def test_a_subject_is_signed_where_there_is_one():
    assert holds(message("Hello", Subject="Greeting"))
    assert not holds({**message("Hello"), "Subject": "Greeting"})


@given(st.integers(0, len(SIGNED) - 1), st.integers(32, 126))
def test_with_any_byte_changed_it_is_not_believed(at, byte):
    changed = sns_messages.read(SIGNED[:at] + bytes((byte,)) + SIGNED[at + 1 :])
    same = {name: json.loads(SIGNED)[name] for name in json.loads(SIGNED)}
    assert bool(holds(changed)) == (changed == same)


@pytest.mark.parametrize(
    "missing", ["Signature", "SignatureVersion", "SigningCertURL", "TopicArn", "Timestamp", "Type"]
)
def test_without_what_it_is_signed_by_it_is_not_believed(missing):
    assert not holds({name: value for name, value in message("Hello").items() if name != missing})


def test_raw_delivery_has_no_signature_and_is_refused():
    assert not holds({"eventType": "Delivery", "TopicArn": ARN})


@pytest.mark.parametrize(
    "changes",
    [
        {"arn": "arn:aws:sns:eu-central-1:123456789012:other"},
        {"at": NOW - timedelta(hours=2)},
        {"at": NOW + timedelta(hours=2)},
    ],
)
def test_another_topic_and_another_time_are_refused(changes):
    assert not holds(message("Hello", **changes))


def test_sns_repeats_for_up_to_an_hour_and_an_adapter_may_want_less():
    old = message("Hello", at=NOW - timedelta(minutes=59))
    assert holds(old)
    assert not holds(old, trusting(sns_replay_seconds=300))


def test_several_topics_may_be_ours():
    assert holds(message("Hello"), trusting(sns_topic_arn=["arn:aws:sns:eu-central-1:123456789012:other", ARN]))


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0123.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123.pem",
        "https://evil.s3.eu-central-1.amazonaws.com/SimpleNotificationService-0123.pem",
        "https://sns-eu-central-1.s3.amazonaws.com/SimpleNotificationService-0123.pem",
        "https://sns.eu-central-1.amazonaws.com.evil.example/SimpleNotificationService-0123.pem",
        "https://sns.eu-central-1.amazonaws.com@evil.example/SimpleNotificationService-0123.pem",
        "https://evil.example#@sns.eu-central-1.amazonaws.com/SimpleNotificationService-0123.pem",
        "https://evil.example/sns.eu-central-1.amazonaws.com/SimpleNotificationService-0123.pem",
        "https://SNS.eu-central-1.amazonaws.com/SimpleNotificationService-0123.pem",
        f"{HOME}:8443/SimpleNotificationService-0123.pem",
        f"{HOME}/SimpleNotificationService-0123.pem?x=1",
        f"{HOME}/SimpleNotificationService-0123.pem#x",
        f"{HOME}/../SimpleNotificationService-0123.pem",
        f"{HOME}/x/SimpleNotificationService-0123.pem",
        f"{HOME}/SimpleNotificationService-0123.pem\n",
        f"{HOME}\\@evil.example/SimpleNotificationService-0123.pem",
        "",
        None,
        7,
    ],
)
def test_a_certificate_from_anywhere_else_is_neither_fetched_nor_believed(url):
    told = message("Hello", SigningCertURL=url)
    assert sns_messages.needs(told) == []
    assert not holds(told, trusting(url=url))


@pytest.mark.parametrize(
    "arn", ["", "arn:aws:sns:..:123456789012:mail", "arn:aws:sqs:eu-central-1:123456789012:mail", None]
)
def test_what_is_no_topic_has_no_home(arn):
    assert sns_messages.needs(message("Hello", arn=arn)) == []


def forged(**made):
    """A leaf of our own making, and what it signs."""
    between = chain()[1]
    by = made.pop("by", between)
    leaf = issue("sns.amazonaws.com", by, **{"names": ("sns.amazonaws.com",), **made})
    return leaf, message("Hello", signer=leaf)


@pytest.mark.parametrize(
    "names", [("sns.amazonaws.com",), ("sns.eu-central-1.amazonaws.com",), ("sns-signing.eu-central-1.amazonaws.com",)]
)
def test_sns_has_several_names(names):
    leaf, told = forged(names=names)
    assert holds(told, trusting(leaf.pem()))


@pytest.mark.parametrize(
    "made",
    [
        {"by": None},
        {"by": issue("Test Between", ca=True)},
        {"names": ("evil.example",)},
        {"names": ("sns.us-east-1.amazonaws.com",)},
        {"names": ("amazonaws.com",)},
        {"start": NOW + timedelta(days=1)},
        {"end": NOW - timedelta(days=1)},
    ],
    ids=["by itself", "by another of the same name", "of another", "of another region", "of all", "not yet", "no more"],
)
def test_a_certificate_that_is_not_one_of_sns_is_refused(made):
    leaf, told = forged(**made)
    assert not holds(told, trusting(leaf.pem()))


def test_a_certificate_by_one_that_may_issue_none_is_refused():
    leaf, told = forged(by=chain()[2])
    assert not holds(told, trusting(leaf.pem() + chain()[2].pem()))


def test_the_chain_may_come_with_the_certificate():
    root, between, leaf = chain()
    told = message("Hello")
    assert holds(told, trusting(leaf.pem() + between.pem(), sns_ca=root.pem().decode()))
    assert not holds(told, trusting(sns_ca=root.pem().decode()))


def test_amazon_does_not_know_our_chain_and_what_is_no_certificate_is_refused():
    assert not holds(message("Hello"), trusting(sns_ca=None))
    for document in (b"", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", b"\xff"):
        assert not holds(message("Hello"), trusting(document or b"x"))
    assert not holds(message("Hello"), trusting(documents={}))


def test_a_certificate_of_sns_as_it_is_leads_to_amazons_root():
    """Of af-south-1, as it lay in October 2026 at SimpleNotificationService-5416b31fae4efe3bce5b30212490f0b5.pem."""
    leaf = (Path(__file__).parent / "sns_af_south_1.pem").read_bytes()
    at = datetime(2026, 10, 2, tzinfo=UTC)
    names = sns_messages._names("af-south-1")
    assert sns_messages._key(leaf, "", names, at).key_size == 2048
    for others, when in ((sns_messages._names("eu-central-1"), at), (names, at + timedelta(days=365))):
        with pytest.raises(Unauthorized):
            sns_messages._key(leaf, "", others, when)


def test_the_roots_we_ship_are_those_that_browsers_trust():
    ours = x509.load_pem_x509_certificates(sns_messages._amazon())
    trusted = Path(certifi.where()).read_text().replace("\n", "")
    for each in ours:
        if each.issuer == each.subject:
            lines = each.public_bytes(Encoding.PEM).decode()
            assert "".join(lines.splitlines()[1:-1]) in trusted
        else:
            each.verify_directly_issued_by(next(root for root in ours if root.subject == each.issuer))


def test_a_subscription_is_confirmed_by_one_call_home():
    told = message("You have chosen to subscribe", "SubscriptionConfirmation")
    assert sns_messages.confirmation(told) == HttpRequest("GET", CONFIRM.format(ARN))
    assert sns_messages.confirmation(message("Hello")) is None
    assert sns_messages.confirmation(message("Bye", "UnsubscribeConfirmation")) is None
    for url in ("https://evil.example/?Action=ConfirmSubscription", f"{HOME}.evil.example/?x", f"{HOME}/admin", None):
        assert sns_messages.confirmation({**told, "SubscribeURL": url}) is None
