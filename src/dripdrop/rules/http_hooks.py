"""What does the definition of an HTTP hook say, and what is wrong with it?

```yaml
http_hooks:
  score_lead:
    url: https://crm.example.com/people/{{ subscriber_id }}/score
    auth: { bearer: "${CRM_TOKEN}" }
    body_template: '{"email": {{ email }}, "seats": {{ seats }}}'
    response_path: data.score
    response_type: number
```
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, TypeAlias

from dripdrop.errors import Finding, Invalid
from dripdrop.rules.redaction import is_secret_key
from dripdrop.rules.urls import check_url, why_blocked

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
RESPONSE_TYPES = ("json", "text", "number", "boolean")
AUTH_TYPES: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "bearer": ("token",),
    "basic": ("username", "password"),
    "header": ("name", "value"),
}
MOST_MILLISECONDS, MOST_RETRIES = 30_000, 5
BUDGET_SECONDS = 30.0
KEYS = (
    "name", "description", "method", "url", "timeout_ms", "retry_count", "auth", "headers", "body_template",
    "response_path", "response_type", "active",
)  # fmt: skip

_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*")
# A host stands in the text itself: what a person's data say must not choose who gets the credentials.
_FIXED = re.compile(r"[A-Za-z]+://[^/?#{}]+(?=[/?#]|$)")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_OURS = frozenset(("host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"))

Auth: TypeAlias = Mapping[str, str]
"""What is sealed: {} for none, else the values that `AUTH_TYPES` names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpHook:
    """A hook that is an HTTP endpoint, without its credentials. `timeout_ms` is for each call."""

    key: str
    name: str
    url: str
    method: str = "POST"
    description: str | None = None
    timeout_ms: int = 5_000
    retry_count: int = 2
    auth_type: str = "none"
    headers: Mapping[str, str] = field(default_factory=dict)
    body_template: str | None = None
    response_path: str | None = None
    response_type: str = "json"
    active: bool = True

    @property
    def budget(self) -> float:
        """Seconds that a call and all its retries may take together."""
        return min(BUDGET_SECONDS, self.timeout_ms / 1000 * (self.retry_count + 1))

    @property
    def content_type(self) -> str:
        """What the body is; without a header of the author's it is JSON."""
        named = (value for name, value in self.headers.items() if name.lower() == "content-type")
        return next(named, "application/json")


DEFINED = tuple(each.name for each in fields(HttpHook) if each.name != "key")


def read(key: str, written: Mapping[str, Any], *, allow: tuple[str, ...] = ()) -> tuple[HttpHook, Auth, list[Finding]]:
    """The hook that was written down under a key, its credentials, and every problem, each at its place."""
    problems = [*_unknown(written), *_key(key), *_url(written.get("url"), allow), *_numbers(written)]
    problems += [*_words(written), *_texts(written), *_headers(written.get("headers"))]
    kind, auth, wrong = _auth(written.get("auth"))
    usable = {name: written[name] for name in DEFINED if written.get(name) is not None}
    normal = normalised(key)
    method = str(usable.pop("method", "POST")).upper()
    headers = {str(name): str(value) for name, value in _mapping(usable.pop("headers", {})).items()}
    hook = HttpHook(
        **{**usable, "key": normal, "name": usable.get("name") or _title(normal), "url": usable.get("url") or ""},
        method=method,
        headers=headers,
        auth_type=kind,
    )
    return hook, auth, [*problems, *wrong]


def normalised(key: Any) -> str:
    """A key as it is kept: trimmed, lower case, spaces as underscores."""
    return "_".join(str(key).strip().lower().split())


def written(hook: HttpHook) -> dict[str, Any]:
    """What a document says of a hook, its credentials left out; what is as usual is not said."""
    usual = HttpHook(key=hook.key, name=_title(hook.key), url="")
    said = {name: getattr(hook, name) for name in DEFINED if name != "auth_type"}
    return {name: value for name, value in said.items() if value != getattr(usual, name)}


def has_fixed_host(url: str) -> bool:
    """Whether scheme and host stand in the template itself."""
    return _FIXED.match(url) is not None


def origin(url: str) -> str:
    """Scheme and host of a URL template, in lower case; '' where they do not stand in it."""
    found = _FIXED.match(url)
    return found[0].lower() if found else ""


def variable(secret: str) -> str | None:
    """The environment variable that a secret of a document names: `${CRM_TOKEN}`; None where it is no such name."""
    found = _VARIABLE.fullmatch(secret.strip())
    return found[1] if found else None


def secrets_in_clear(hook: HttpHook, auth: Auth) -> Iterator[Finding]:
    """Every secret that stands in a document itself, where everybody who reads the file reads it."""
    cure = "Write the name of an environment variable instead, such as ${CRM_TOKEN}."
    for name in ("token", "password", "value"):
        if name in auth and variable(auth[name]) is None:
            yield Finding("hook_secret_in_clear", f"auth.{hook.auth_type}", "The credentials stand in clear.", cure)
    for name in hook.headers:
        if is_secret_key(name):
            cure = "Put it under `auth: {header: {name: ..., value: ${NAME}}}`, where it is kept sealed."
            yield Finding("hook_secret_in_clear", f"headers.{name}", f"The header {name} holds a secret.", cure)


def _unknown(written: Mapping[str, Any]) -> Iterator[Finding]:
    for name in written:
        if name not in KEYS:
            near = get_close_matches(str(name), KEYS, 1, 0.6)
            cure = f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(KEYS)}."
            yield Finding("unknown_key", str(name), f"{str(name)[:80]!r} is not known here.", cure)


def _key(key: Any) -> Iterator[Finding]:
    if not _KEY.fullmatch(normalised(key)) or len(normalised(key)) > 200:
        cure = "Use a-z, 0-9, - and _, beginning with a letter or digit."
        yield Finding("hook_key", "key", f"{str(key)[:80]!r} cannot be a hook's key.", cure)


def _url(url: Any, allow: tuple[str, ...]) -> Iterator[Finding]:
    if not isinstance(url, str) or not url.strip():
        yield Finding("missing_url", "url", "The hook has no URL.", "Write `url: https://...`.")
        return
    fixed = _FIXED.match(url)
    if fixed is None:
        cure = "Begin with https:// and the host itself, and put variables into the path and the query."
        yield Finding("hook_url", "url", "The URL does not begin with a fixed host.", cure)
        return
    try:
        check_url(f"{fixed[0]}/", allow=allow)
    except Invalid as error:
        yield Finding("url_blocked", "url", f"{error.message} ({why_blocked(error)})", error.cure)


def _numbers(written: Mapping[str, Any]) -> Iterator[Finding]:
    for name, least, most in (("timeout_ms", 1, MOST_MILLISECONDS), ("retry_count", 0, MOST_RETRIES)):
        value = written.get(name)
        if value is not None and (type(value) is not int or not least <= value <= most):
            cure = f"Write a whole number from {least} to {most}."
            yield Finding("out_of_range", name, f"`{name}` is {str(value)[:40]!r}.", cure)


def _words(written: Mapping[str, Any]) -> Iterator[Finding]:
    for name, known in (("method", METHODS), ("response_type", RESPONSE_TYPES)):
        value = written.get(name)
        said = str(value).upper() if name == "method" else value
        if value is not None and said not in known:
            cure = f"Use one of: {', '.join(known)}."
            yield Finding("unknown_word", name, f"`{name}` cannot be {str(value)[:40]!r}.", cure)


def _texts(written: Mapping[str, Any]) -> Iterator[Finding]:
    for name in ("name", "description", "body_template", "response_path"):
        if written.get(name) is not None and not isinstance(written[name], str):
            yield Finding("wrong_type", name, f"`{name}` is not text.", "Write text.")
    if not isinstance(written.get("active", True), bool):
        yield Finding("wrong_type", "active", "`active` is not true or false.", "Write true or false.")


def _headers(headers: Any) -> Iterator[Finding]:
    if headers is not None and not isinstance(headers, Mapping):
        yield Finding("wrong_type", "headers", "`headers` is not a mapping.", "Write `headers: {X-Team: growth}`.")
    for name, value in _mapping(headers).items():
        text = str(value)
        if not _NAME.fullmatch(str(name)) or str(name).lower() in _OURS or not _VALUE.fullmatch(text):
            cure = "Use one line of latin text under a header name of your own."
            yield Finding("hook_header", f"headers.{str(name)[:80]}", "This header cannot be sent.", cure)


def _auth(auth: Any) -> tuple[str, Auth, list[Finding]]:
    """The kind, what is sealed, and what is wrong with it."""
    if auth is None or auth == "none" or auth == {}:
        return "none", {}, []
    cure = "Write {bearer: token}, {basic: {username, password}} or {header: {name, value}}."
    kind = str(next(iter(auth))) if isinstance(auth, Mapping) and len(auth) == 1 else "none"
    if kind not in AUTH_TYPES or kind == "none":
        return "none", {}, [Finding("hook_auth", "auth", "This is no way to authenticate.", cure)]
    given = auth[kind]
    values = {"token": given} if kind == "bearer" and isinstance(given, str) else given
    wanted = AUTH_TYPES[kind]
    if not isinstance(values, Mapping) or set(values) != set(wanted) or not all(map(_secret, values.values())):
        message = f"`{kind}` needs {' and '.join(wanted)}, each as text of one line."
        return kind, {}, [Finding("hook_auth", f"auth.{kind}", message, cure)]
    if kind != "basic" and not all(map(_VALUE.fullmatch, values.values())):
        return kind, {}, [Finding("hook_auth", f"auth.{kind}", "It holds what no header can carry.", cure)]
    if kind == "header" and (not _NAME.fullmatch(values["name"]) or values["name"].lower() in _OURS):
        return kind, {}, [Finding("hook_auth", "auth.header", "Its name cannot be a header's.", cure)]
    if kind == "basic" and ":" in values["username"]:
        return kind, {}, [Finding("hook_auth", "auth.basic", "The user name holds a colon (RFC 7617).", cure)]
    return kind, {name: values[name] for name in wanted}, []


def _secret(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _title(key: str) -> str:
    words = " ".join(key.replace("_", " ").replace("-", " ").split())
    return words[:1].upper() + words[1:]
