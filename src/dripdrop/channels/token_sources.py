"""How is an access token asked for?  The three ways of OAuth 2.0 that need no person.

Grants and errors: RFC 6749 (4.4, 5.1, 5.2, 6); the signed assertion: RFC 7523, as in
https://developers.google.com/identity/protocols/oauth2/service-account.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import orjson

from dripdrop.channels.answers import json_of
from dripdrop.contracts import AccessToken, AdapterRef, Config, HttpRequest, HttpResponse, TokenError

_GOOGLE = "https://oauth2.googleapis.com/token"
_MICROSOFT = "https://login.microsoftonline.com/{}/oauth2/v2.0/token"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_LIFE = timedelta(hours=1)
_REVOKED = frozenset(("invalid_grant", "access_denied"))


class _OAuth:
    """What the three have in common: a form to the token endpoint, and how its answer is read."""

    def granted(self, response: HttpResponse) -> AccessToken:
        """The token; raises `TokenError`: `revoked` and the server's other words for good, trouble for a while."""
        said = json_of(response)
        if response.status == 200 and isinstance(said.get("access_token"), str):
            return AccessToken(said["access_token"], expires_in=said.get("expires_in"))
        if response.status == 429 or response.status >= 500:
            raise TokenError("temporary", f"status_{response.status}")
        error = str(said.get("error") or f"status_{response.status}")[:80]
        if error in ("temporarily_unavailable", "server_error"):
            raise TokenError("temporary", error)
        raise TokenError("permanent", "revoked" if error in _REVOKED else error)


class RefreshTokenSource(_OAuth):
    """A person agreed once.

    Config: `client_id`, `client_secret`, `refresh_token`, `token_url` or (Microsoft) `tenant_id`, `scope`.
    """

    kind = "token_source"
    name = "refresh_token"

    def request(self, adapter: AdapterRef, config: Config) -> HttpRequest:
        if not config.get("refresh_token"):
            raise TokenError("permanent", "no_refresh_token")
        names = ("client_id", "client_secret", "refresh_token", "scope")
        return _form(_endpoint(config), grant_type="refresh_token", **{name: config.get(name) for name in names})


class ClientCredentialsSource(_OAuth):
    """The application speaks for itself. Config: as above, without the refresh token."""

    kind = "token_source"
    name = "client_credentials"

    def request(self, adapter: AdapterRef, config: Config) -> HttpRequest:
        names = ("client_id", "client_secret")
        scope = config.get("scope") or ("https://graph.microsoft.com/.default" if config.get("tenant_id") else None)
        said = {name: _needed(config, name) for name in names}
        return _form(_endpoint(config), grant_type="client_credentials", scope=scope, **said)


class ServiceAccountSource(_OAuth):
    """A key speaks for a mailbox (Google's domain-wide delegation).

    Config: `service_account` (Google's JSON file, as text or mapping) or `client_email` and `private_key`; `scope`;
    `subject` or `user_email`, the mailbox; `token_url`.
    """

    kind = "token_source"
    name = "service_account"

    def request(self, adapter: AdapterRef, config: Config) -> HttpRequest:
        account = {**config, **_account(config.get("service_account"))}
        audience = str(config.get("token_url") or account.get("token_uri") or _GOOGLE)
        now = config["now"]
        claims = {
            "iss": _needed(account, "client_email"),
            "sub": config.get("subject") or config.get("user_email"),
            "scope": config.get("scope") or "https://www.googleapis.com/auth/gmail.send",
            "aud": audience,
            "iat": int(now.timestamp()),
            "exp": int((now + _ASSERTION_LIFE).timestamp()),
        }
        header = {"alg": "RS256", "typ": "JWT", "kid": account.get("private_key_id")}
        assertion = _signed(header, claims, _needed(account, "private_key"))
        return _form(audience, grant_type=_JWT_BEARER, assertion=assertion)


def _endpoint(config: Config) -> str:
    tenant = config.get("tenant_id")
    return str(config.get("token_url") or (_MICROSOFT.format(tenant) if tenant else _GOOGLE))


def _form(url: str, **fields: Any) -> HttpRequest:
    body = urlencode({name: value for name, value in fields.items() if value}).encode("ascii")
    headers = (("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json"))
    return HttpRequest("POST", url, headers, body)


def _needed(config: Mapping[str, Any], name: str) -> str:
    if not config.get(name):
        raise TokenError("permanent", f"no_{name}")
    return str(config[name])


def _account(written: Any) -> Mapping[str, Any]:
    if not written:
        return {}
    try:
        found = orjson.loads(written) if isinstance(written, (str, bytes)) else written
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, Mapping):
        raise TokenError("permanent", "service_account_unreadable")
    return found


def _signed(header: Mapping[str, Any], claims: Mapping[str, Any], key: str) -> str:
    """A JSON Web Token (RFC 7519) signed with RS256."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    parts = [{name: value for name, value in part.items() if value is not None} for part in (header, claims)]
    signing = b".".join(_base64url(orjson.dumps(part)) for part in parts)
    signature = _private_key(key).sign(signing, padding.PKCS1v15(), hashes.SHA256())
    return (signing + b"." + _base64url(signature)).decode("ascii")


@lru_cache(maxsize=64)
def _private_key(pem: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.replace("\\n", "\n").encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise TokenError("permanent", "private_key_unreadable")
    return key


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
