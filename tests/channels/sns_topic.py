"""A topic of SNS that signs as Amazon does, by certificates that nobody but the tests trusts."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2030, 3, 1, 9, 0, tzinfo=UTC)
ARN = "arn:aws:sns:eu-central-1:123456789012:mail"
URL = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
CONFIRM = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={}&Token=2336412f37"
FIELDS = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
FIELDS["UnsubscribeConfirmation"] = FIELDS["SubscriptionConfirmation"]


@dataclass
class Authority:
    """A key and its certificate."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def issue(name, by=None, *, names=(), ca=False, start=NOW - timedelta(days=30), end=NOW + timedelta(days=300)):
    """A certificate of this name, by an authority or by itself."""
    key = rsa.generate_private_key(65537, 2048)
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = by or Authority(key, None)
    above = by.certificate.subject if by else own
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(above)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    if ca:
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
             "decipher_only"), False,
        )  # fmt: skip
        builder = builder.add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), critical=True
        )
    else:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
    return Authority(key, builder.sign(issuer.key, hashes.SHA256()))


@cache
def chain(names=("sns.amazonaws.com",)):
    """(root, between, leaf)"""
    root = issue("Test Root", ca=True)
    between = issue("Test Between", root, ca=True)
    return root, between, issue(names[0], between, names=names)


def trusting(document=None, url=URL, **more):
    """The config of an adapter that trusts the test's root, and has fetched the certificate."""
    root, between, leaf = chain()
    known = (root.pem() + between.pem()).decode()
    return {"sns_ca": known, "documents": {url: document or leaf.pem()}, "now": NOW, "sns_topic_arn": ARN, **more}


def message(told="", kind="Notification", *, arn=ARN, at=NOW, version="2", signer=None, **more):
    """A message as SNS posts it, signed."""
    text = told if isinstance(told, str) else json.dumps(told)
    found = {
        "Type": kind,
        "MessageId": hashlib.sha256(text.encode()).hexdigest()[:36],
        "TopicArn": arn,
        "Message": text,
        "Timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "SignatureVersion": version,
        "SigningCertURL": URL,
        **more,
    }
    if kind != "Notification":
        found = {"Token": "2336412f37", "SubscribeURL": CONFIRM.format(arn), **found}
    signed = "".join(f"{name}\n{found[name]}\n" for name in FIELDS[kind] if name in found)
    algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
    key = (signer or chain()[2]).key
    found["Signature"] = base64.b64encode(key.sign(signed.encode(), padding.PKCS1v15(), algorithm)).decode()
    return found
