"""The pages behind a link to unsubscribe: in the reader's language, of the topic or of everything, as was asked."""

from __future__ import annotations

import re
import string

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.operations.desk import at_desk
from tests.web.test_web_public import ANN, Host, suppressed, token

from dripdrop.web import texts
from dripdrop.web.app import Leaving, build

SECRET = b"the newest secret"
ITALIAN = {"it": {"ask": "Vuoi <davvero> disiscriverti?", "promise": "Niente più per {recipient}."}}


@pytest.fixture
def host(database_url: str) -> Host:
    return Host(database_url)


def client(host: Host, ends: bool = True) -> httpx2.AsyncClient:
    web = build(host.run, lambda: [SECRET], leaving=Leaving(lambda: ends, lambda: ITALIAN))
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=web), base_url="https://news.example.org")


@pytest.mark.parametrize(
    ("asked", "language", "says"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de", "Abbestellen?"),
        ("fr", "fr", "Se désabonner ?"),
        ("es-419", "es", "¿Darse de baja?"),
        ("it-CH, en;q=0.1", "it", "Vuoi &lt;davvero&gt; disiscriverti?"),
        ("ja, pt;q=0.5", "en", "Unsubscribe?"),
        ("de;q=0, fr;q=0.4", "fr", "Se désabonner ?"),
        (None, "en", "Unsubscribe?"),
    ],
)
async def test_a_page_speaks_the_language_its_reader_prefers(
    host: Host, asked: str | None, language: str, says: str
) -> None:
    async with client(host) as http:
        answer = await http.get(f"/u/{token()}", headers={"accept-language": asked} if asked else {})
    assert f'<html lang="{language}" dir="ltr">' in answer.text
    assert f"<h1>{says}</h1>" in answer.text
    assert (answer.headers["content-language"], answer.headers["vary"]) == (language, "Accept-Language")


async def test_what_a_host_leaves_out_is_said_in_english_and_an_address_cannot_be_markup(host: Host) -> None:
    async with client(host) as http:
        text = (await http.get(f"/u/{token()}", headers={"accept-language": "it"})).text
        evil = (await http.get(f"/u/{token(topic='<b>x</b>{recipient}')}")).text
    assert "Niente più per <strong>a…@example.org</strong>." in text
    assert ">Unsubscribe</button>" in text
    assert "<strong>&lt;b&gt;x&lt;/b&gt;{recipient}</strong>" in evil


async def test_one_click_is_of_the_topic_and_the_page_offers_everything(host: Host) -> None:
    link = f"/u/{token(topic='news')}"
    async with client(host) as http:
        assert "about <strong>news</strong>" in (await http.get(link)).text
        done = await http.post(link, data={"List-Unsubscribe": "One-Click"})
        assert topics(host) == ["news"]
        button = re.findall(r'name="(\w+)" value="1"', done.text)
        assert button == ["everything"]
        last = await http.post(link, data={"List-Unsubscribe": "One-Click", "everything": "1"})
        assert topics(host) == ["", "news"]
        assert "everything" not in last.text


async def test_mail_software_may_post_multipart_or_a_body_of_any_size(host: Host) -> None:
    """RFC 8058, section 3.1, allows both encodings; neither asks for everything."""
    link = f"/u/{token(topic='news')}"
    async with client(host) as http:
        await http.post(link, files={"List-Unsubscribe": (None, "One-Click"), "everything": (None, "1")})
        await http.post(link, data={"filler": "x" * 5000, "everything": "1"})
    assert topics(host) == ["news"]


async def test_a_link_without_a_topic_offers_no_second_button(host: Host) -> None:
    async with client(host) as http:
        assert "everything" not in (await http.get(f"/u/{token()}")).text
        await http.post(f"/u/{token()}")
    assert topics(host) == [""]


@pytest.mark.parametrize(("ends", "state"), [(True, "cancelled"), (False, "active")])
async def test_a_link_to_a_sequence_ends_it_where_the_settings_let_it(host: Host, ends: bool, state: str) -> None:
    with at_desk(host.url) as desk:
        sequence = desk.sequence("onboarding", "welcome", tenant="acme")
        desk.enroll(sequence, tenant="acme", data={"email": ANN})
        async with client(host, ends) as http:
            assert (await http.post(f"/u/{token(sequence=str(sequence))}")).status_code == 200
        assert desk.one("select state::text from dripdrop.enrollments") == state
    assert len(suppressed(host)) == 1


def topics(host: Host) -> list[str]:
    with at_desk(host.url) as desk:
        return [row[0] for row in desk.ask("select topic from dripdrop.suppressions order by 1")]


def test_every_language_says_everything_with_the_same_blanks() -> None:
    blanks = {
        language: {
            key: {name for _, name, _, _ in string.Formatter().parse(text) if name} for key, text in said.items()
        }
        for language, said in texts.BUILT_IN.items()
    }
    assert set(blanks) == {"en", "de", "fr", "es"}
    assert all(each == blanks["en"] for each in blanks.values())


def test_the_setting_knows_every_text() -> None:
    from dripdrop._settings import PUBLIC_TEXTS

    assert set(PUBLIC_TEXTS) == set(texts.BUILT_IN["en"])


@given(st.text() | st.text(alphabet="deENfr-,;q=0.19* "))
def test_any_header_names_a_language_there_is(header: str) -> None:
    assert texts.preferred(header, ["en", "de", "pt-br"]) in ("en", "de", "pt-br")


def test_a_right_to_left_language_is_set_so() -> None:
    assert texts.wording("he", {"he": {}}).direction == "rtl"
