"""Does a built e-mail read back as what went in? The standard library's parsers are the judges."""

from __future__ import annotations

import email as stdlib
import email.header
import email.policy
import email.utils
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dripdrop.errors import Invalid
from dripdrop.rules.mail import build, envelope_recipients, needs_smtputf8, parse_address, valid_address
from dripdrop.rules.message import Address, Attachment, Email

NEWS = Address("news@example.com", "Example News")
ANN = Address("ann@example.org", "Ann Lee")
SEED = "0190c1f2-7d5e-7aaa-8bbb-0123456789ab"

one_line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=200)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=3000)
long_lines = st.builds(lambda text, times: text * times, any_text, st.integers(1, 40))
words = st.text("abcdefghijklm no-pq,.;:<>@()[]\"\\'=?_é漢😀", max_size=300)
names = st.one_of(one_line, words)


def mail(**changes):
    given_fields = {"to": (ANN,), "subject": "Welcome", "text": "Hello\n", "sender": NEWS}
    return Email(**{**given_fields, **changes})


def octets(message, **options):
    return build(message, boundary_seed=SEED, **options)


def parsed(message, **options):
    return stdlib.message_from_bytes(octets(message, **options), policy=email.policy.default)


def refused(message, **options):
    with pytest.raises(Invalid) as caught:
        octets(message, **options)
    assert caught.value.cure
    assert caught.value.findings[0].code == caught.value.code
    assert caught.value.findings[0].path
    return caught.value.code


def lines_of_headers(raw):
    return raw.partition(b"\r\n\r\n")[0].split(b"\r\n")


def same_text(text):
    return text.replace("\r\n", "\n").replace("\r", "\n")


def decoded_legacy(raw, name):
    """What a reader of the old school (compat32) makes of an unstructured header."""
    value = stdlib.message_from_bytes(raw)[name].replace("\r\n", "")
    return str(email.header.make_header(email.header.decode_header(value)))


def text_of(part):
    return same_text(part.get_payload(decode=True).decode("utf-8"))


def test_a_plain_text_mail_is_what_a_person_would_write_by_hand():
    raw = octets(mail(date=datetime(2030, 3, 1, 9, 0, tzinfo=UTC), message_id="e1@example.com"))
    assert raw == (
        b"From: Example News <news@example.com>\r\nTo: Ann Lee <ann@example.org>\r\nSubject: Welcome\r\n"
        b"Date: Fri, 01 Mar 2030 09:00:00 +0000\r\nMessage-ID: <e1@example.com>\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\nHello\r\n"
    )


@given(subject=st.one_of(one_line, words, st.text(" ab", max_size=200), st.text("x", max_size=2000)))
@example("=?utf-8?q?already?=")
@example(" leading and trailing ")
@example("a" * 69 + " b")
@example("tab\there")
def test_any_subject_reads_back_the_same(subject):
    raw = octets(mail(subject=subject))
    assert decoded_legacy(raw, "Subject") == subject
    assert all(len(line) <= 78 for line in lines_of_headers(raw))
    assert raw.isascii()
    for word in re.findall(rb"=\?\S+\?=", raw):
        assert len(word) <= 75
        email.header.make_header(email.header.decode_header(word.decode()))  # no character is split between words


@given(subject=st.text(st.characters(categories=["L", "N", "S", "P"]), max_size=150))
def test_a_subject_without_odd_spaces_reads_back_in_the_modern_parser_too(subject):
    assert parsed(mail(subject=subject))["Subject"] == subject


@given(name=names)
@example('Lee, "Ann" \\')
@example("é" * 100)
@example("=?x?")
def test_any_display_name_reads_back_the_same_and_the_address_is_not_touched(name):
    raw = octets(mail(to=(Address("ann@example.org", name), Address("bob@example.org", "Bob"))))
    legacy = stdlib.message_from_bytes(raw)["To"].replace("\r\n", "")
    [(shown, address), other] = email.utils.getaddresses([legacy])
    assert (address, other) == ("ann@example.org", ("Bob", "bob@example.org"))
    assert str(email.header.make_header(email.header.decode_header(shown))) == " ".join(name.split())
    assert all(len(line) <= 78 for line in lines_of_headers(raw))


@given(text=st.one_of(any_text, long_lines), html=st.one_of(st.none(), any_text))
@settings(deadline=None)
@example(text="x" * 999, html=None)
@example(text=".\n..\n.dot", html=".")
@example(text="trailing \t\nspace ", html="a\rb\r\nc")
@example(text="漢" * 1000, html=None)
def test_any_text_and_html_read_back_the_same(text, html):
    raw = octets(mail(text=text, html=html))
    assert raw.isascii()
    assert raw.endswith(b"\r\n")
    assert b"\0" not in raw
    assert all(len(line) <= 998 and b"\r" not in line and b"\n" not in line for line in raw.split(b"\r\n"))
    message = stdlib.message_from_bytes(raw, policy=email.policy.default)
    if html is None:
        assert text_of(message) in (same_text(text), same_text(text) + "\n")
    else:
        assert message.get_content_type() == "multipart/alternative"
        plain, rich = message.iter_parts()
        assert (plain.get_content_type(), rich.get_content_type()) == ("text/plain", "text/html")
        assert (text_of(plain), text_of(rich)) == (same_text(text), same_text(html))
    assert not list(message.defects)


attachments = st.builds(
    Attachment,
    filename=st.one_of(one_line.filter(str.strip), st.just("résumé " * 30 + ".pdf"), st.just('a"b\\c.txt')),
    content=st.binary(max_size=500),
    content_type=st.sampled_from(["application/pdf", "image/png", "text/plain; charset=utf-8"]),
)


@given(files=st.lists(attachments, min_size=1, max_size=3))
@settings(deadline=None)
def test_any_attachment_reads_back_the_same(files):
    raw = octets(mail(html="<p>é</p>", attachments=tuple(files)))
    message = stdlib.message_from_bytes(raw, policy=email.policy.default)
    assert message.get_content_type() == "multipart/mixed"
    found = list(message.iter_attachments())
    assert [part.get_payload(decode=True) for part in found] == [each.content for each in files]
    assert all(len(line) <= 98 for line in lines_of_headers(raw))
    legacy = stdlib.message_from_bytes(raw).get_payload()[1:]
    assert [email.utils.collapse_rfc2231_value(part.get_filename()) for part in legacy] == [
        each.filename.strip() for each in files
    ]


def test_inline_images_stand_beside_the_html_and_files_outside():
    logo = Attachment("logo.png", b"\x89PNG", "image/png", content_id="logo")
    invoice = Attachment("invoice.pdf", b"%PDF", "application/pdf")
    message = parsed(mail(html='<img src="cid:logo">', attachments=(logo, invoice)))
    alternative, attached = message.iter_parts()
    plain, related = alternative.iter_parts()
    html, image = related.iter_parts()
    kinds = [part.get_content_type() for part in (message, alternative, plain, related, html, image, attached)]
    assert kinds == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ]
    assert image["Content-ID"] == "<logo>"
    assert image.get_content_disposition() == "inline"
    assert message.get_body(("html",)).get_content().strip() == '<img src="cid:logo">'


def test_html_alone_and_attachments_without_text_are_whole_messages():
    assert parsed(mail(text=None, html="<p>Hi</p>")).get_content_type() == "text/html"
    message = parsed(mail(text=None, html="<p>Hi</p>", attachments=(Attachment("a.bin", b"\0\1"),)))
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/html", "application/octet-stream"]
    assert parsed(mail(text=None)).get_content() == ""


def test_a_boundary_that_occurs_in_the_text_is_not_used():
    first = octets(mail(html="<p>Hi</p>"))
    boundary = re.search(rb'boundary="([^"]+)"', first).group(1).decode()
    nasty = f"--{boundary}\r\nContent-Type: text/html\r\n\r\nforged\r\n--{boundary[:-1]}\r\n"
    message = parsed(mail(text=nasty, html="<p>Hi</p>"))
    assert [text_of(part) for part in message.iter_parts()] == [same_text(nasty), "<p>Hi</p>"]


def test_building_twice_gives_the_same_bytes_and_another_seed_another_boundary():
    message = mail(html="<p>Hi</p>", date=datetime(2030, 3, 1, tzinfo=UTC), message_id="<e1@example.com>")
    assert octets(message) == octets(message)
    assert octets(message) != build(message, boundary_seed="another", default_sender=None)


@pytest.mark.parametrize("breaker", ["\r", "\n", "\r\n", "\0", "\r\nBcc: eve@example.net"])
@pytest.mark.parametrize(
    "field",
    [
        lambda bad: {"subject": bad},
        lambda bad: {"sender": Address("news@example.com", bad)},
        lambda bad: {"sender": Address(f"news{bad}@example.com")},
        lambda bad: {"to": (Address("ann@example.org", f"Ann{bad}"),)},
        lambda bad: {"to": (Address(f"ann@example.org{bad}"),)},
        lambda bad: {"cc": (Address(f"ann@example.org{bad}"),)},
        lambda bad: {"reply_to": (Address("a@example.org", bad),)},
        lambda bad: {"headers": (("X-Campaign", f"spring{bad}"),)},
        lambda bad: {"attachments": (Attachment(f"a{bad}.txt", b""),)},
    ],
)
def test_a_line_break_in_a_header_is_refused(field, breaker):
    assert refused(mail(**field(f"x{breaker}y"))) == "header_injection"


@pytest.mark.parametrize("breaker", ["\r\n", "\n", "\0", " ", "é"])
def test_a_line_break_cannot_come_in_by_a_header_name_an_id_or_a_type(breaker):
    assert refused(mail(headers=((f"X-A{breaker}B", "1"),))) == "header_name"
    assert refused(mail(message_id=f"a{breaker}b@example.com")) == "message_id"
    image = Attachment("a.png", b"", "image/png", content_id=f"a{breaker}b")
    assert refused(mail(html="<p>", attachments=(image,))) == "content_id"
    assert refused(mail(attachments=(Attachment("a", b"", f"image/png{breaker}x"),))) == "attachment_type"


@pytest.mark.parametrize(
    "name", ["Content-Type", "content-transfer-encoding", "BCC", "From", "Subject", "MIME-Version"]
)
def test_a_header_of_ours_cannot_be_overridden(name):
    assert refused(mail(headers=((name, "x"),))) == "header_reserved"


def test_a_header_set_twice_is_refused_by_name():
    with pytest.raises(Invalid, match="x-tag"):
        octets(mail(headers=(("X-Tag", "1"), ("x-tag", "2"))))
    assert refused(mail(headers=(("X-Tag", "1"), ("X-TAG", "2")))) == "header_twice"


def test_custom_headers_arrive_and_a_long_link_is_not_encoded():
    link = f"<https://example.com/u/{'a' * 200}?a=?b>, <mailto:u@example.com>"
    raw = octets(mail(headers=(("List-Unsubscribe", link), ("X-Name", "grüße " * 30))))
    message = stdlib.message_from_bytes(raw, policy=email.policy.default)
    assert message["List-Unsubscribe"].replace("\r\n", "") == link
    assert message["X-Name"] == ("grüße " * 30).strip()


def test_references_fold_at_their_spaces():
    ids = " ".join(f"<{number:040}@example.com>" for number in range(12))
    raw = octets(mail(headers=(("References", ids),)))
    assert stdlib.message_from_bytes(raw)["References"].replace("\r\n", "") == ids
    assert all(len(line) <= 78 for line in lines_of_headers(raw))


def test_a_header_that_no_fold_can_shorten_is_refused():
    assert refused(mail(headers=(("X-Blob", "a" * 1000),))) == "header_too_long"


@given(value=words)
def test_a_custom_header_reads_back_the_same(value):
    raw = octets(mail(headers=(("X-Note", value),)))
    shown = stdlib.message_from_bytes(raw)["X-Note"].replace("\r\n", "")
    if value.isascii():
        assert shown == value.strip(" \t")
    else:
        assert decoded_legacy(raw, "X-Note") == value.strip(" \t")


def test_a_sender_comes_from_the_adapter_where_the_message_has_none():
    assert parsed(mail(sender=None), default_sender=NEWS)["From"] == "Example News <news@example.com>"
    assert refused(mail(sender=None)) == "sender_missing"


def test_bcc_receives_but_is_never_written():
    message = mail(cc=(Address("carl@example.org"),), bcc=(Address("eve@example.net", "Eve"), ANN))
    assert b"eve" not in octets(message).lower()
    assert envelope_recipients(message) == ("ann@example.org", "carl@example.org", "eve@example.net")


def test_many_recipients_fold_between_addresses():
    crowd = tuple(Address(f"person{number}@example.org", f"Person {number}") for number in range(40))
    raw = octets(mail(to=crowd))
    got = stdlib.message_from_bytes(raw, policy=email.policy.default)["To"].addresses
    assert [(each.addr_spec, each.display_name) for each in got] == [(each.email, each.name) for each in crowd]
    assert all(len(line) <= 78 for line in lines_of_headers(raw))


def test_the_date_is_the_moment_in_any_zone():
    at = datetime(2030, 12, 31, 23, 30, 5, tzinfo=timezone(timedelta(hours=-5)))
    assert email.utils.parsedate_to_datetime(parsed(mail(date=at))["Date"]) == at
    assert refused(mail(date=datetime(2030, 1, 1))) == "naive_date"


def test_an_international_domain_becomes_punycode_everywhere():
    message = mail(to=(ANN, Address("info@bücher.example")))
    assert envelope_recipients(message)[1] == "info@xn--bcher-kva.example"
    assert b"info@xn--bcher-kva.example" in octets(message)


def test_a_non_ascii_local_part_needs_the_servers_consent():
    message = mail(to=(Address("jürgen@example.de", "Jürgen"),))
    assert refused(message) == "address_needs_smtputf8"
    assert needs_smtputf8(message)
    assert not needs_smtputf8(mail(to=(Address("info@bücher.example"),)))
    assert "<jürgen@example.de>".encode() in octets(message, smtputf8=True)
    assert envelope_recipients(message, smtputf8=True) == ("jürgen@example.de",)


def test_half_a_character_is_refused_by_place():
    assert refused(mail(text="\ud800")) == "not_encodable"
    assert refused(mail(subject="\ud800")) == "not_encodable"


@pytest.mark.parametrize("kind", ["multipart/mixed", "message/rfc822", "image", "", "image/png\r\nX: y"])
def test_an_attachment_of_an_impossible_type_is_refused(kind):
    assert refused(mail(attachments=(Attachment("a", b"", kind),))) == "attachment_type"


@pytest.mark.parametrize(
    "good",
    ["a@b.c", "ann.lee+tag@example.co.uk", "o'neil@example.org", "x@localhost", "a@bücher.example", "a_b@x-y.example"],
)
def test_an_address_one_can_send_to_is_valid(good):
    assert valid_address(good)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "bob",
        "bob@",
        "@x",
        "@x.com",
        "a b@c.com",
        "a@b c.com",
        "x@y..z",
        "x@.y.z",
        "x@y.z.",
        ".x@y.z",
        "x.@y.z",
        "a..b@c.de",
        "a@b@c.de",
        "a@b",
        "a@-b.de",
        "a@b-.de",
        "a@1.2.3.4",
        "a@[1.2.3.4]",
        '"a b"@c.de',
        "a@b_c.de",
        "a,b@c.de",
        "a@c.de,b@c.de",
        "a;b@c.de",
        "<a@c.de>",
        "Ann <a@c.de>",
        " a@c.de",
        "a@c.de ",
        "a@c.de\n",
        "a@c.de\0",
        "a@c.de\r\nRCPT TO:<eve@example.net>",
        "a@c.d\u00ade\u2028",
        "jürgen@example.de",
        "a@" + "b" * 64 + ".de",
        "a" * 65 + "@b.de",
        "a@" + "b." * 130 + "de",
        "a@b.de\u200b",
        "mailto:a@b.de",
        "a@b.de?subject=x",
    ],
)
def test_a_broken_address_is_not_valid(bad):
    assert not valid_address(bad)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a@b.de", Address("a@b.de")),
        (" <a@b.de> ", Address("a@b.de")),
        ("Ann Lee <a@b.de>", Address("a@b.de", "Ann Lee")),
        ('"Lee, Ann" <a@b.de>', Address("a@b.de", "Lee, Ann")),
        ('"Ann \\"A\\" Lee"<a@b.de>', Address("a@b.de", 'Ann "A" Lee')),
        ("Änn <a@bücher.example>", Address("a@bücher.example", "Änn")),
    ],
)
def test_an_address_is_read_with_its_name(text, wanted):
    assert parse_address(text) == wanted


@pytest.mark.parametrize(
    "text", ["Ann", "Ann <>", "<a@b.de", "a@b.de>", "Ann <a@b.de> x", "a@b.de, c@d.de", "A <a@b.de>, B <c@d.de>", ""]
)
def test_what_is_not_one_address_is_not_read(text):
    with pytest.raises(Invalid):
        parse_address(text)


@given(st.text(max_size=60))
def test_a_valid_address_always_stands_whole_in_the_envelope(text):
    if valid_address(text):
        assert re.fullmatch(r"[!-~]+@[!-~]+", envelope_recipients(mail(to=(Address(text),)))[0])


@given(name=names)
def test_a_written_name_is_read_again(name):
    shown = " ".join(name.split())
    escaped = shown.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_address(f'"{escaped}" <a@b.de>') == Address("a@b.de", shown)
