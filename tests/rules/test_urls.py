"""Does the guard see through every spelling of a place that is not the world's?"""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.errors import Invalid
from dripdrop.rules.urls import check_url, is_global, vetted, why_blocked

ANYTHING = ("invalid_url", "invalid_host", "private_address")


def reason(url, **options):
    with pytest.raises(Invalid) as caught:
        check_url(url, **options)
    assert caught.value.code == "url_blocked"
    assert caught.value.cure
    return why_blocked(caught.value)


TRICKS = {
    "http://example.com/": "scheme_not_allowed",
    "HTTP://example.com/": "scheme_not_allowed",
    "ftp://example.com/": "scheme_not_allowed",
    "file:///etc/passwd": "scheme_not_allowed",
    "javascript:alert(1)": "scheme_not_allowed",
    "data:text/plain,x": "scheme_not_allowed",
    "ws://example.com/": "scheme_not_allowed",
    "gopher://127.0.0.1:6379/_x": "scheme_not_allowed",
    "": "invalid_url",
    "example.com": "invalid_url",
    "//example.com/": "invalid_url",
    "https:example.com": "invalid_url",
    "https:/example.com": "invalid_url",
    "https://exa mple.com/": "invalid_url",
    " https://example.com/": "invalid_url",
    "https://example.com/\r\nHost: x": "invalid_url",
    "https://example.com\\@127.0.0.1/": "invalid_url",
    "https://user@example.com/": "invalid_url",
    "https://user:secret@example.com/": "invalid_url",
    "https://example.com@127.0.0.1/": "invalid_url",
    "https://example.com:0/": "invalid_url",
    "https://example.com:65536/": "invalid_url",
    "https://": "invalid_host",
    "https:///path": "invalid_host",
    "https://example.com:80:90/": "invalid_host",
    "https://example.com./": "invalid_host",
    "https://localhost./": "invalid_host",
    "https://ex..ample.com/": "invalid_host",
    "https://-example.com/": "invalid_host",
    "https://%31%32%37.0.0.1/": "invalid_host",
    "https://127.0.0.1%00.example.com/": "invalid_host",
    "https://localhost/": "private_address",
    "https://LOCALHOST:8080/": "private_address",
    "https://app.localhost/": "private_address",
    "https://127.0.0.1/": "private_address",
    "https://127.1/": "private_address",
    "https://127.0.1/": "private_address",
    "https://127.0.0.1./": "private_address",
    "https://2130706433/": "private_address",
    "https://017700000001/": "private_address",
    "https://0x7f000001/": "private_address",
    "https://0x7f.0.0.1/": "private_address",
    "https://0177.0.0.1/": "private_address",
    "https://0/": "private_address",
    "https://0.0.0.0/": "private_address",
    "https://10.1.2.3/": "private_address",
    "https://100.64.0.1/": "private_address",
    "https://169.254.169.254/latest/meta-data/": "private_address",
    "https://168.63.129.16/": "private_address",
    "https://172.31.255.255/": "private_address",
    "https://192.168.0.1:8443/": "private_address",
    "https://192.0.2.1/": "private_address",
    "https://198.18.0.1/": "private_address",
    "https://224.0.0.1/": "private_address",
    "https://255.255.255.255/": "private_address",
    "https://１２７.０.０.１/": "private_address",
    "https://①②⑦.0.0.1/": "private_address",
    "https://ⓛocalhost/": "private_address",
    "https://127。0。0。1/": "private_address",
    "https://3232235777/": "private_address",
    "https://134744072/": "invalid_host",
    "https://08.8.8.8/": "invalid_host",
    "https://8.8.8.8.8/": "invalid_host",
    "https://256.1.1.1/": "invalid_host",
    "https://99999999999/": "invalid_host",
    "https://[::1]/": "private_address",
    "https://[::]/": "private_address",
    "https://[::ffff:127.0.0.1]/": "private_address",
    "https://[::ffff:7f00:1]/": "private_address",
    "https://[::127.0.0.1]/": "private_address",
    "https://[64:ff9b::127.0.0.1]/": "private_address",
    "https://[64:ff9b::a9fe:a9fe]/": "private_address",
    "https://[64:ff9b:1::1]/": "private_address",
    "https://[2002:7f00:1::]/": "private_address",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/": "private_address",
    "https://[2001:db8::1]/": "private_address",
    "https://[fc00::1]/": "private_address",
    "https://[fd00:ec2::254]/": "private_address",
    "https://[fe80::1]/": "private_address",
    "https://[fec0::1]/": "private_address",
    "https://[ff02::1]/": "private_address",
    "https://[fe80::1%25eth0]/": "invalid_host",
    "https://[fe80::1%eth0]/": "invalid_host",
    "https://[::1/": "invalid_host",
    "https://[example.com]/": "invalid_host",
    "https://::1/": "invalid_host",
}


@pytest.mark.parametrize(("url", "why"), TRICKS.items(), ids=[repr(url) for url in TRICKS])
def test_a_trick_is_refused_for_its_reason(url, why):
    assert reason(url) == why


@pytest.mark.parametrize("value", [None, 1, b"https://example.com", "https://example.com/" + "a" * 9000])
def test_what_is_no_text_or_endless_is_no_url(value):
    assert reason(value) == "invalid_url"


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Example.COM:443/a?b=c#d", "https://example.com/a?b=c"),
        ("https://example.com:8443?x=1", "https://example.com:8443/?x=1"),
        ("https://8.8.8.8/x", "https://8.8.8.8/x"),
        ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
        ("https://[64:ff9b::8.8.8.8]/", "https://[64:ff9b::808:808]/"),
        ("https://bücher.example/käse?ü", "https://xn--bcher-kva.example/k%C3%A4se?%C3%BC"),
        ("https://example.com/a%2Fb?c=%20[d]", "https://example.com/a%2Fb?c=%20[d]"),
        ("https://10.example.com/", "https://10.example.com/"),
        ("https://_dmarc.example.com/", "https://_dmarc.example.com/"),
    ],
)
def test_a_public_url_gets_one_spelling(url, canonical):
    assert str(check_url(url)) == canonical
    assert check_url(canonical) == check_url(url)


def test_an_allowed_host_and_port_is_exempt_from_scheme_and_address_but_not_from_shape():
    allow = ("localhost:8025", "127.0.0.1:9000", "[::1]:9000", "Hooks.Internal:443")
    assert check_url("http://localhost:8025/x", allow=allow).exempt
    assert check_url("http://127.0.0.1:9000/", allow=allow).exempt
    assert check_url("http://[0:0:0:0:0:0:0:1]:9000/", allow=allow).exempt
    assert check_url("https://hooks.internal/", allow=allow).exempt
    assert not check_url("https://example.com/", allow=allow).exempt
    assert reason("http://localhost:8026/", allow=allow) == "scheme_not_allowed"
    assert reason("http://127.0.0.1/", allow=allow) == "scheme_not_allowed"
    assert reason("http://user@localhost:8025/", allow=allow) == "invalid_url"
    assert reason("http://2130706433:9000/", allow=allow) == "private_address"
    assert reason("ftp://localhost:8025/", allow=allow) == "scheme_not_allowed"


def test_one_private_answer_condemns_a_name():
    assert vetted(["93.184.216.34", "2606:4700::1111"]) == ["93.184.216.34", "2606:4700::1111"]
    for bad in (["93.184.216.34", "127.0.0.1"], ["fe80::1%eth0"], ["nonsense"], ["::ffff:10.0.0.1"]):
        with pytest.raises(Invalid) as caught:
            vetted(bad)
        assert why_blocked(caught.value) == "private_address"
    with pytest.raises(Invalid) as caught:
        vetted([])
    assert why_blocked(caught.value) == "host_unresolvable"


@given(st.ip_addresses())
def test_nothing_the_standard_library_calls_private_passes(address):
    inner = getattr(address, "ipv4_mapped", None) or address
    if inner.is_private or inner.is_multicast or inner.is_loopback or inner.is_link_local or inner.is_unspecified:
        assert not is_global(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_the_same_in_every_ipv6_coat(address):
    for coat in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert is_global(ip_address(coat)) == is_global(address)
    assert not is_global(ip_address(f"::{address}"))


@given(st.text(max_size=60))
def test_whatever_stands_after_the_scheme_is_a_safe_url_or_refused(text):
    url, why = judged(f"https://{text}")
    if url is None:
        assert why in ANYTHING
    else:
        assert url.host.isascii()
        assert not set(str(url)) & set(" \r\n\t\\")
        assert check_url(str(url)) == url


def judged(text):
    try:
        return check_url(text), None
    except Invalid as error:
        return None, why_blocked(error)
