"""Forty ways to make a guard look elsewhere, each by its name; and the tables of addresses against others' tables."""

from __future__ import annotations

import ipaddress
from ipaddress import ip_address

import pytest

import dripdrop
from dripdrop.errors import Invalid
from dripdrop.rules import address_blocks
from dripdrop.rules.urls import is_global, why_blocked

TRICKS = {
    "loopback": "https://127.0.0.1/",
    "another address of loopback": "https://127.255.255.254/",
    "short form of loopback": "https://127.1/",
    "three parts": "https://10.1.1/",
    "decimal": "https://2130706433/",
    "octal": "https://017700000001/",
    "octal parts": "https://0177.0.0.01/",
    "hexadecimal": "https://0x7f000001/",
    "short hexadecimal": "https://0x7f.1/",
    "hexadecimal in capitals": "https://0X7F.0X0.0X0.0X1/",
    "mixed bases": "https://0x7f.0.1/",
    "leading zeros": "https://0000127.0.0.1/",
    "more than 32 bits, which some take modulo": "https://4294967297/",
    "this network": "https://0.0.0.0/",
    "zero": "https://0/",
    "broadcast": "https://255.255.255.255/",
    "carrier grade NAT": "https://100.127.255.255/",
    "benchmarking": "https://198.19.0.1/",
    "documentation": "https://203.0.113.5/",
    "6to4 relay": "https://192.88.99.1/",
    "metadata of clouds": "https://169.254.169.254/latest/meta-data/",
    "metadata of clouds in decimal": "https://2852039166/",
    "metadata of clouds in hexadecimal": "https://0xa9fea9fe/",
    "metadata of Alibaba": "https://100.100.100.200/",
    "metadata of Oracle": "https://192.0.0.192/",
    "the agent of Azure": "https://168.63.129.16/",
    "metadata over IPv6": "https://[fd00:ec2::254]/",
    "IPv6 loopback": "https://[::1]/",
    "IPv6 loopback in full": "https://[0000:0000:0000:0000:0000:0000:0000:0001]/",
    "IPv6 unspecified": "https://[::]/",
    "mapped": "https://[::ffff:127.0.0.1]/",
    "mapped in hexadecimal": "https://[::ffff:a9fe:a9fe]/",
    "compatible": "https://[::127.0.0.1]/",
    "translated by the old prefix": "https://[::ffff:0:127.0.0.1]/",
    "NAT64": "https://[64:ff9b::169.254.169.254]/",
    "NAT64 of the local prefix": "https://[64:ff9b:1::8.8.8.8]/",
    "6to4": "https://[2002:7f00:1::1]/",
    "6to4 around a public address": "https://[2002:808:808::1]/",
    "Teredo": "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "unique local": "https://[fc12::1]/",
    "link local": "https://[fe80::1]/",
    "link local with a zone": "https://[fe80::1%25eth0]/",
    "public with a zone": "https://[2606:4700::1111%25eth0]/",
    "site local": "https://[fec0::1]/",
    "multicast": "https://[ff02::1]/",
    "discard": "https://[100::1]/",
    "IPv6 documentation": "https://[2001:db8::1]/",
    "newer IPv6 documentation": "https://[3fff::1]/",
    "segment routing": "https://[5f00::1]/",
    "IPv6 without brackets": "https://::1/",
    "two brackets": "https://[[::1]]/",
    "an address of the future": "https://[v1.127.0.0.1]/",
    "IPv6 with a dot at the end": "https://[::1]./",
    "localhost": "https://localhost/",
    "localhost in capitals": "https://LocalHost/",
    "localhost with a dot": "https://localhost./",
    "below localhost": "https://metadata.localhost/",
    "a name with a dot at the end": "https://example.com./",
    "an address with a dot at the end": "https://127.0.0.1./",
    "an empty label": "https://127..0.0.1/",
    "user name": "https://example.com@127.0.0.1/",
    "user name and password": "https://example.com:443@127.0.0.1/",
    "user name that is encoded": "https://example.com%40127.0.0.1/",
    "two at signs": "https://a@example.com@127.0.0.1/",
    "backslash before the at sign": "https://example.com\\@127.0.0.1/",
    "backslashes for slashes": "https:\\\\127.0.0.1\\",
    "backslash after the host": "https://127.0.0.1\\.example.com/",
    "three slashes": "https:///127.0.0.1/",
    "one slash": "https:/127.0.0.1/",
    "no slash": "https:127.0.0.1",
    "no scheme": "//127.0.0.1/",
    "encoded host": "https://%31%32%37%2e0%2e0%2e1/",
    "encoded dot": "https://127%2e0.0.1/",
    "encoded twice": "https://%2531%2532%2537.0.0.1/",
    "NUL in the host": "https://127.0.0.1\x00.example.com/",
    "encoded NUL in the host": "https://127.0.0.1%00.example.com/",
    "line feed in the host": "https://127.0.0.1\n.example.com/",
    "line break and a header": "https://example.com/\r\nHost: 127.0.0.1",
    "encoded line break in the host": "https://example.com%0d%0a/",
    "tab in the scheme": "ht\ttps://127.0.0.1/",
    "tab in the host": "https://127.0.0\t.1/",
    "space before": " https://127.0.0.1/",
    "space in the host": "https://example.com 127.0.0.1/",
    "no-break space in the host": "https://127.0.0.1\u00a0/",
    "full-width digits": "https://\uff11\uff12\uff17.0.0.1/",
    "full-width dots": "https://127\uff0e0\uff0e0\uff0e1/",
    "all in full width": "https://\uff11\uff12\uff17\uff0e\uff10\uff0e\uff10\uff0e\uff11/",
    "ideographic dots": "https://127\u30020\u30020\u30021/",
    "half-width ideographic dots": "https://127\uff610\uff610\uff611/",
    "circled digits": "https://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/",
    "circled letters": "https://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/",
    "superscript digits": "https://\u00b9\u00b2\u2077.0.0.1/",
    "Arabic digits": "https://\u0661\u0662\u0667.0.0.1/",
    "zero-width space in an address": "https://127.0.0\u200b.1/",
    "zero-width space in a name": "https://loc\u200balhost/",
    "zero-width joiner": "https://loc\u200dalhost/",
    "soft hyphen": "https://local\u00adhost/",
    "byte order mark": "https://\ufefflocalhost/",
    "right-to-left override": "https://\u202elocalhost/",
    "a slash of another alphabet": "https://example.com\u2215@127.0.0.1/",
    "the fraction sign, which unfolds to a slash": "https://127.0.0.1\u2044.example.com/",
    "account of, which unfolds to a/c": "https://127.0.0.1\u2100.example.com/",
    "a Cyrillic localhost in punycode that is none": "https://xn--lclhst-/",
    "a host that is too long": f"https://{'a.' * 130}example.com/",
    "a label that is too long": f"https://{'a' * 64}.example.com/",
    "half a character": "https://example.com/\ud800",
    "port zero": "https://example.com:0/",
    "a port beyond the last": "https://example.com:65616/",
    "a negative port": "https://example.com:-1/",
    "a port in hexadecimal": "https://example.com:0x1bb/",
    "a port in full width": "https://example.com:\uff18\uff10/",
    "two ports": "https://example.com:80:443/",
    "http in odd case": "hTTp://example.com/",
    "ftp": "ftp://example.com/",
    "file": "file:///etc/passwd",
    "file on a host": "file://localhost/etc/passwd",
    "gopher": "gopher://127.0.0.1:6379/_FLUSHALL",
    "dict": "dict://127.0.0.1:11211/stat",
    "ldap": "ldap://127.0.0.1/",
    "jar": "jar:https://127.0.0.1!/",
    "javascript": "javascript:alert(1)",
    "data": "data:text/html,x",
    "unix": "unix:///var/run/docker.sock",
    "view-source": "view-source:https://example.com/",
    "a scheme within": "url:https://127.0.0.1/",
}


@pytest.mark.parametrize("url", TRICKS.values(), ids=TRICKS)
def test_a_trick_is_refused(url):
    with pytest.raises(Invalid) as caught:
        dripdrop.check_url(url)
    assert caught.value.code == "url_blocked"
    assert why_blocked(caught.value) in ("invalid_url", "scheme_not_allowed", "invalid_host", "private_address")
    # URLs carry secrets, and the text of an error goes into logs.
    assert url not in str(caught.value)


def test_there_are_more_than_forty():
    assert len(set(TRICKS.values())) == len(TRICKS) > 100


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://exаmple.com/", "xn--exmple-4nf.com"),  # a Cyrillic а: another name, and shown as such
        ("https://ｅｘａｍｐｌｅ.com/", "example.com"),
        ("https://example。com/", "example.com"),
        ("https://faß.example/", "xn--fa-hia.example"),
    ],
)
def test_a_name_in_another_alphabet_is_the_name_that_is_asked_for(url, host):
    assert dripdrop.check_url(url).host == host


BLOCKS = [*address_blocks.IPV4, *address_blocks.IPV6]


def edges(network):
    return [network[0], network[-1]]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: str(block.network))
def test_a_block_that_the_registries_call_unreachable_is_refused_from_end_to_end(block):
    if not block.reachable:
        assert not any(is_global(each) for each in edges(block.network))


# What the registries call reachable and we refuse all the same: anycast services that no web server stands behind.
WITHIN = {
    "192.0.0.9/32", "192.0.0.10/32", "2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:3::/32",
    "2001:4:112::/48", "2001:20::/28", "2001:30::/28",
}  # fmt: skip


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.reachable], ids=lambda block: str(block.network))
def test_a_block_that_they_call_reachable_passes_unless_it_lies_within_another(block):
    refused = str(block.network) in WITHIN or block.network == address_blocks.TRANSLATED
    assert [is_global(each) for each in edges(block.network)] == [not refused] * 2


# Where Python's own tables are older than the registries (3.11 before 3.11.10), or follow another idea.
NEWER = {
    "100.64.0.0/10": "neither private nor global for Python",
    "192.0.0.0/24": "Python before 3.11.10 knew its first part only",
    "192.88.99.0/24": "Python keeps to what it was before it was deprecated",
    "192.0.0.8/32": "Python before 3.11.10",
    "224.0.0.0/4": "multicast is global for Python",
    "::/96": "Python judges no address of a deprecated kind",
    "64:ff9b::/96": "we judge the address it carries",
    "64:ff9b:1::/48": "Python before 3.11.10",
    "100:0:0:1::/64": "RFC 9780 is of 2025",
    "2002::/16": "Python before 3.11.10",
    "3fff::/20": "RFC 9637 is of 2024",
    "5f00::/16": "RFC 9602 is of 2024",
    "fec0::/10": "Python calls it site-local",
    "ff00::/8": "multicast is global for Python",
}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: str(block.network))
def test_where_python_differs_we_know_why(block):
    theirs = [each.is_global for each in edges(block.network)]
    ours = [is_global(each) for each in edges(block.network)]
    if any(they and not we for they, we in zip(theirs, ours, strict=True)):
        assert str(block.network) in NEWER | dict.fromkeys(WITHIN)
    if any(we and not they for they, we in zip(theirs, ours, strict=True)):
        assert block.reachable


def test_no_network_that_python_calls_private_is_missing_from_our_tables():
    theirs = [
        *ipaddress._IPv4Constants._private_networks,  # type: ignore[attr-defined]
        *ipaddress._IPv6Constants._private_networks,  # type: ignore[attr-defined]
    ]
    assert theirs
    for network in theirs:
        assert not any(is_global(each) for each in edges(network)), network


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::1"])
def test_the_world_passes(address):
    assert is_global(ip_address(address))
