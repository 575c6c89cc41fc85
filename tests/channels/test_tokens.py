"""Are tokens fetched once, renewed in time, and forgotten when refused?  Against a real authorisation server here."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dripdrop.channels import BUILT_IN
from dripdrop.channels.http import Sender
from dripdrop.channels.tokens import Tokens
from dripdrop.contracts import AccessToken, TokenError
from dripdrop.plugins import Plugins
from dripdrop.rules.message import AdapterRef

ADAPTER = AdapterRef(UUID(int=1), "ann", "email", "gmail")
OTHER = AdapterRef(UUID(int=2), "bo", "email", "gmail")
CLIENT = {"client_id": "id-1", "client_secret": "secret-1"}


@dataclass
class Server:
    """An authorisation server: each grant is another token; `says` may be an answer of its own."""

    url: str = ""
    status: int = 200
    says: dict | None = None
    lives: object = 3600
    asked: list = field(default_factory=list)
    gate: asyncio.Event | None = None
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length")
        )
        self.asked.append(dict(parse_qsl((await reader.readexactly(length)).decode())))
        self.came.set()
        if self.gate is not None:
            await self.gate.wait()
        granted = {"access_token": f"token-{len(self.asked)}", "token_type": "Bearer", "expires_in": self.lives}
        body = json.dumps(granted if self.says is None else self.says).encode()
        writer.write(
            b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (self.status, len(body)) + body
        )
        await writer.drain()
        writer.close()


@pytest.fixture
async def server():
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/token"
    async with listening:
        yield server
        if server.gate is not None:
            # From Python 3.12 on a server waits for those it still serves.
            server.gate.set()


class Clock:
    def __init__(self):
        self.now = datetime(2030, 3, 1, 9, tzinfo=UTC).timestamp()

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def tokens(server, clock):
    plugins = Plugins(builtin=BUILT_IN)
    place = server.url.split("/")[2]
    sender = Sender(allow=lambda: [place])
    yield Tokens(sender, lambda name: plugins.get("token_source", name), clock=clock)
    await sender.aclose()


def config(server, source="refresh_token", **more):
    return {"token_source": source, "token_url": server.url, **CLIENT, "refresh_token": "refresh-1", **more}


async def get(tokens, config, adapter=ADAPTER):
    return await tokens.token(adapter, config, timeout=5)


async def refused(tokens, config):
    with pytest.raises(TokenError) as caught:
        await get(tokens, config)
    return caught.value.kind, caught.value.reason


async def test_a_refresh_token_becomes_an_access_token_and_is_kept(tokens, server):
    assert [await get(tokens, config(server)) for _ in range(25)] == ["token-1"] * 25
    assert server.asked == [{"grant_type": "refresh_token", **CLIENT, "refresh_token": "refresh-1"}]


async def test_an_application_speaks_for_itself(tokens, server):
    await get(tokens, config(server, "client_credentials", scope="mail"))
    assert server.asked == [{"grant_type": "client_credentials", "scope": "mail", **CLIENT}]


async def test_a_service_account_signs_what_a_library_verifies(tokens, server, clock):
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {"client_email": "robot@example.iam", "private_key": pem, "private_key_id": "k1"}
    business = {"now": datetime(2040, 1, 1, tzinfo=UTC)}  # a virtual clock is no matter of Google's
    for written in (account, json.dumps(account)):
        made = config(server, "service_account", service_account=written, user_email="ann@example.org", **business)
        await get(tokens, made)
    asked = server.asked[0]
    assert asked["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    options = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(asked["assertion"], key.public_key(), ["RS256"], audience=server.url, options=options)
    assert jwt.get_unverified_header(asked["assertion"]) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert claims == {
        "iss": "robot@example.iam",
        "sub": "ann@example.org",
        "scope": "https://www.googleapis.com/auth/gmail.send",
        "aud": server.url,
        "iat": int(clock.now),
        "exp": int(clock.now) + 3600,
    }


async def test_it_is_renewed_early_and_those_who_ask_together_share_one_call(tokens, server, clock):
    server.gate = asyncio.Event()
    asking = [asyncio.create_task(get(tokens, config(server))) for _ in range(20)]
    await server.came.wait()
    server.gate.set()
    assert await asyncio.gather(*asking) == ["token-1"] * 20
    clock.now += 3600 * 0.8 - 1
    assert await get(tokens, config(server)) == "token-1"
    clock.now += 2
    assert await get(tokens, config(server)) == "token-2"
    assert len(server.asked) == 2


async def test_one_who_gives_up_does_not_take_the_token_from_the_others(tokens, server):
    server.gate = asyncio.Event()
    first, second = (asyncio.create_task(get(tokens, config(server))) for _ in range(2))
    await server.came.wait()
    first.cancel()
    server.gate.set()
    assert await second == "token-1"
    assert first.cancelled()


async def test_what_cannot_be_renewed_for_a_while_is_used_until_it_ends(tokens, server, clock):
    await get(tokens, config(server))
    server.status, server.says = 503, {}
    clock.now += 3000
    assert await get(tokens, config(server)) == "token-1"
    clock.now += 700
    assert await refused(tokens, config(server)) == ("temporary", "status_503")


async def test_a_revoked_token_is_not_used_any_longer(tokens, server, clock):
    await get(tokens, config(server))
    server.status, server.says = 400, {"error": "invalid_grant"}
    clock.now += 3000
    assert await refused(tokens, config(server)) == ("permanent", "revoked")


async def test_what_the_provider_refused_is_fetched_anew_once(tokens, server):
    token = await get(tokens, config(server))
    tokens.evict(ADAPTER.id, token)
    assert await get(tokens, config(server)) == "token-2"
    tokens.evict(ADAPTER.id, token)  # the news of the old one comes late
    assert await get(tokens, config(server)) == "token-2"


async def test_another_adapter_and_other_credentials_are_another_token(tokens, server):
    assert await get(tokens, config(server)) == "token-1"
    assert await get(tokens, config(server), OTHER) == "token-2"
    assert await get(tokens, config(server, refresh_token="refresh-2")) == "token-3"
    assert await get(tokens, {**config(server, refresh_token="refresh-2"), "now": 1, "token": "x"}) == "token-3"


@pytest.mark.parametrize(
    ("status", "says", "wanted"),
    [
        (400, {"error": "invalid_grant"}, ("permanent", "revoked")),
        (401, {"error": "invalid_client"}, ("permanent", "invalid_client")),
        (400, {"error": "temporarily_unavailable"}, ("temporary", "temporarily_unavailable")),
        (404, {}, ("permanent", "status_404")),
        (429, {}, ("temporary", "status_429")),
        (500, {}, ("temporary", "status_500")),
        (200, {"access_token": ""}, ("permanent", "missing_access_token")),
        (200, {"access_token": "a\r\nb"}, ("permanent", "malformed_access_token")),
        (200, {}, ("permanent", "status_200")),
    ],
)
async def test_every_refusal_is_a_token_error(tokens, server, status, says, wanted):
    server.status, server.says = status, says
    assert await refused(tokens, config(server)) == wanted


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"refresh_token": ""}, ("permanent", "no_refresh_token")),
        ({"token_source": "client_credentials", "client_id": ""}, ("permanent", "no_client_id")),
        ({"token_source": "service_account"}, ("permanent", "no_client_email")),
        ({"token_source": "service_account", "service_account": "{"}, ("permanent", "service_account_unreadable")),
        (
            {"token_source": "service_account", "client_email": "x", "private_key": "nonsense"},
            ("permanent", "private_key_unreadable"),
        ),
        ({"token_source": "nobody_knows"}, ("permanent", "unknown_token_source")),
        ({"token_url": "http://10.0.0.1/token"}, ("permanent", "url_blocked")),
    ],
)
async def test_what_is_missing_is_named_and_nobody_is_asked(tokens, server, changes, wanted):
    assert await refused(tokens, config(server, **changes)) == wanted
    assert server.asked == []


async def test_a_server_that_is_gone_is_trouble_for_a_while(tokens, server):
    gone = {**config(server), "token_url": server.url.replace("127.0.0.1", "gone.invalid")}
    tokens._sender._allow = lambda: [gone["token_url"].split("/")[2]]
    assert (await refused(tokens, gone))[0] == "temporary"


async def test_a_source_that_hangs_is_left_alone_after_the_timeout(tokens, server):
    server.gate = asyncio.Event()
    with pytest.raises(TokenError) as caught:
        await tokens.token(ADAPTER, config(server), timeout=0.05)
    assert (caught.value.kind, caught.value.reason) == ("temporary", "timeout")


class Source:
    def token(self, adapter):
        return AccessToken(f"for-{adapter.name}", expires_in=60)


async def later(adapter):
    return {"access_token": f"later-{adapter.name}", "expires_at": "2030-03-01T10:00:00Z"}


def broken(adapter):
    raise RuntimeError("ann@example.org")


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (Source(), "for-ann"),
        (later, "later-ann"),
        (lambda: "bare", "bare"),
        (lambda adapter: {"token": adapter.name}, "ann"),
    ],
)
async def test_a_host_gives_its_own_in_any_form(source, wanted, clock):
    plugins = Plugins()
    plugins.register("token_source", "mine", source)
    tokens = Tokens(Sender(), lambda name: plugins.get("token_source", name), clock=clock)
    assert await get(tokens, {"token_source": "mine"}) == wanted


async def test_what_a_hosts_source_raises_or_forgets_is_a_token_error(clock):
    for source, wanted in ((broken, "source_raised:RuntimeError"), (lambda: None, "missing_access_token")):
        tokens = Tokens(Sender(), lambda name, source=source: source, clock=clock)
        assert (await refused(tokens, {"token_source": "mine"}))[1] == wanted


@pytest.mark.parametrize(
    ("token", "seconds"),
    [
        (AccessToken("x"), 300),
        (AccessToken("x", expires_in="600"), 600),
        (AccessToken("x", expires_in="soon"), 300),
        (AccessToken("x", expires_in=10**6), 3600),
        (AccessToken("x", expires_at=datetime(2030, 3, 1, 9, 30)), 1800),
        (AccessToken("x", expires_at=datetime(2030, 3, 1, 9, 30, tzinfo=UTC)), 1800),
        (AccessToken("x", expires_at="nonsense"), 300),
    ],
)
async def test_a_token_is_kept_for_its_life_and_never_longer(token, seconds, clock):
    asked = []
    tokens = Tokens(Sender(), lambda name: lambda: asked.append(1) or token, clock=clock)
    for passed in (0, min(seconds * 0.8, seconds - 60) - 1, 2):
        clock.now += passed
        await get(tokens, {"token_source": "mine"})
    assert len(asked) == 2


@pytest.mark.parametrize("over", [AccessToken("x", expires_in=0), AccessToken("x", expires_in=-5)])
async def test_a_token_that_is_over_is_used_once_and_not_kept(over, clock):
    asked = []
    tokens = Tokens(Sender(), lambda name: lambda: asked.append(1) or over, clock=clock)
    assert [await get(tokens, {"token_source": "mine"}) for _ in range(2)] == ["x", "x"]
    assert len(asked) == 2


def test_a_token_does_not_show():
    assert "hush" not in repr(AccessToken("hush", datetime.now(UTC) + timedelta(hours=1)))
