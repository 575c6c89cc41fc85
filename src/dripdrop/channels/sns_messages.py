"""Does this call really come from a topic of Amazon SNS?

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html: what is signed, by which certificate,
and that its host, its chain and the topic are to be looked at. Formats: .../dg/sns-message-and-json-formats.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from importlib import resources
from typing import Any

import orjson
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from dripdrop.channels import aws, callers
from dripdrop.channels.bodies import moment, string
from dripdrop.contracts import Config, HttpRequest, Verified

_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED: Mapping[str, tuple[str, ...]] = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
_HASHES: Mapping[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:([a-z]{2,4}(?:-[a-z]+)+-\d+):\d{12}:[A-Za-z0-9_.-]{1,256}")
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[A-Za-z0-9]{1,100}\.pem")
_QUERY = re.compile(r"/\?[!-~]{1,2000}")
# SNS repeats a message that was not taken, with its first time, for up to an hour.
_LONGEST_REPEAT = 3600.0


def read(raw_body: bytes) -> Mapping[str, Any]:
    """The message of a call; {} where it is none."""
    try:
        found = orjson.loads(raw_body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def needs(message: Mapping[str, Any]) -> list[str]:
    """The certificate that is said to sign the message, where it lies with SNS of the topic's own region."""
    return [url] if (url := _at_home(message, "SigningCertURL", _CERTIFICATE)) else []


def verify(message: Mapping[str, Any], config: Config) -> Verified:
    """Raise `Unauthorized` unless the message is the adapter's own topic's (`sns_topic_arn`), fresh and signed by SNS.

    `config["documents"]` has the certificate that `needs` asked for. It must be made out to SNS and lead to a root of
    Amazon's, or to one of `sns_ca` (PEM). `sns_replay_seconds` says how old a message may be (default an hour).
    """
    topics = callers.secrets(config, "sns_topic_arn")
    if not callers.any_same(string(message, "TopicArn") or "", topics):
        callers.refuse("It is of another topic.", "Set sns_topic_arn to the topic that is subscribed to this address.")
    names, algorithm = (
        _SIGNED.get(string(message, "Type") or ""),
        _HASHES.get(string(message, "SignatureVersion") or ""),
    )
    if names is None or algorithm is None or not isinstance(message.get("Signature"), str):
        callers.refuse(
            "It is not signed by SNS.", "Turn off raw message delivery: without its frame nothing is signed."
        )
    url = _at_home(message, "SigningCertURL", _CERTIFICATE)
    document = config["documents"].get(url) if url else None
    if not document:
        callers.refuse("Its certificate does not lie with SNS of the topic's region.")
    hour = config["now"].replace(minute=0, second=0, microsecond=0)  # a chain is followed once an hour
    key = _key(document, str(config.get("sns_ca") or ""), _names(_region(message)), hour)
    try:
        key.verify(callers.unbase64(message["Signature"]), _canonical(message, names), padding.PKCS1v15(), algorithm)
    except InvalidSignature:
        callers.refuse("The signature does not hold.")
    at, longest = moment(message.get("Timestamp")), config.get("sns_replay_seconds") or _LONGEST_REPEAT
    callers.fresh(at.timestamp() if at else None, {**config, "webhook_replay_skew_seconds": longest})
    return Verified(once=tuple(filter(None, (string(message, "MessageId"),))))


def confirmation(message: Mapping[str, Any]) -> HttpRequest | None:
    """The call that confirms a subscription; None where the message asks for none, or for a call to somebody else."""
    if message.get("Type") != "SubscriptionConfirmation":
        return None
    url = _at_home(message, "SubscribeURL", _QUERY)
    return HttpRequest("GET", url) if url else None


def _region(message: Mapping[str, Any]) -> str:
    found = _TOPIC.fullmatch(string(message, "TopicArn") or "")
    return found[1] if found else ""


def _at_home(message: Mapping[str, Any], name: str, path: re.Pattern[str]) -> str | None:
    """The URL under this name, if it is of `path` on the SNS host of the topic's region, written without any trick."""
    region, url = _region(message), message.get(name)
    home = f"https://sns.{region}.{aws.suffix(region)}"
    if not region or not isinstance(url, str) or not url.startswith(home):
        return None
    return url if path.fullmatch(url[len(home) :]) else None


def _names(region: str) -> tuple[str, ...]:
    """What SNS calls itself in its certificates; GovCloud has one for both of its regions."""
    suffix = aws.suffix(region)
    gov = ("sns-us-gov-west-1.amazonaws.com",) if region.startswith("us-gov-") else ()
    own = (f"sns.{region}.{suffix}", f"sns-signing.{region}.{suffix}", f"sns-{region}.{suffix}")
    return ("sns.amazonaws.com", *own, *gov)


def _canonical(message: Mapping[str, Any], names: tuple[str, ...]) -> bytes:
    pairs = ((name, message.get(name)) for name in names)
    return "".join(f"{name}\n{value}\n" for name, value in pairs if value is not None).encode("utf-8", "replace")


@lru_cache(maxsize=64)
def _key(document: bytes, own: str, names: tuple[str, ...], now: datetime) -> rsa.RSAPublicKey:
    """The key of a certificate that holds now, for one of these names, by a chain to a root that is trusted."""
    try:
        leaf, *others = x509.load_pem_x509_certificates(document)
        known = x509.load_pem_x509_certificates(own.encode() if own else _amazon())
    except ValueError:
        callers.refuse("Its certificate, or what sns_ca holds, cannot be read.")
    roots = [each for each in known if each.issuer == each.subject]
    between = [*others, *(each for each in known if each.issuer != each.subject)]
    if not roots or not _leads(leaf, between, roots, names, now):
        callers.refuse(
            "Its certificate is not one of SNS that leads to a known root.",
            "If Amazon has a new issuer, put its certificate and its root's into the adapter's sns_ca (PEM).",
        )
    key = leaf.public_key()
    return key if isinstance(key, rsa.RSAPublicKey) else callers.refuse("Its certificate has no RSA key.")


def _leads(
    leaf: x509.Certificate,
    between: list[x509.Certificate],
    roots: list[x509.Certificate],
    names: tuple[str, ...],
    now: datetime,
) -> bool:
    for name in names:
        verifier = PolicyBuilder().store(Store(roots)).time(now).build_server_verifier(x509.DNSName(name))
        try:
            verifier.verify(leaf, between)
        except VerificationError:
            continue
        return True
    return False


@lru_cache(maxsize=1)
def _amazon() -> bytes:
    return resources.files("dripdrop.channels").joinpath("amazon_certificates.pem").read_bytes()
