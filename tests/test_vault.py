"""Sealed for one row, opened with any key of the ring, and the reference's values too."""

from __future__ import annotations

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.errors import BadSettings, Invalid, Unreadable
from dripdrop.vault import Vault

NEW, OLD, REFERENCE_KEY = b"n" * 32, b"o" * 32, b"\x07" * 32
ROW = b"channel_adapters:1"

# Written by the reference with 32 bytes of 0x07: IV of 16, IV of 12, nothing inside, the default IV, a long label.
VECTORS = [
    (
        "AQpBRVMuR0NNLlYx/sbfO+wmBfFEc2s6oncJLdrJTZ2BrOry94jeyBnaW0qcagz+GUPfYkFxaLh3d+oknC/I3w==",
        b'{"api_key":"secret"}',
    ),
    (
        "AQpBRVMuR0NNLlYxN/InzsQD5xmUBfnaOilEnWCXalajgTYQJAghWolPduOPq+c=",
        b'{"a":1}',
    ),
    (
        "AQpBRVMuR0NNLlYxopFeG2GszGkN9q1w3GwXdkFGBmuqY5X3xtgy5RHlxe0=",
        b"",
    ),
    (
        "AQpBRVMuR0NNLlYxftrU+i5S/XQGjZuucIu6qoSkfv1e3DfPhyo+uiulVHshPVgwoJMz",
        b"default",
    ),
    (
        "AYIBLHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0"
        "dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0"
        "dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0"
        "dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0"
        "dHR0dHR0dHR0dHR0dHR0dKqqOQg6YVY0kulC/azZx4SlLAG75blnP0t8HS/+WZ43WcnyAR4j4j8=",
        b"long tag",
    ),
]


@pytest.mark.parametrize(("written", "plain"), VECTORS)
def test_what_the_reference_wrote_is_read(written: str, plain: bytes) -> None:
    for keys in ([REFERENCE_KEY], [NEW, REFERENCE_KEY]):
        assert Vault(keys).open_bytes(b64decode(written), ROW) == plain


def test_credentials_of_the_reference_open_and_rotate_into_our_format() -> None:
    vault, blob = Vault([NEW, REFERENCE_KEY]), b64decode(VECTORS[0][0])
    assert vault.open(blob, ROW) == {"api_key": "secret"}
    assert vault.needs_rotation(blob)
    rotated = vault.rotate(blob, ROW)
    assert not vault.needs_rotation(rotated)
    assert Vault([NEW]).open(rotated, ROW) == {"api_key": "secret"}


def test_another_key_says_so_for_the_reference_too() -> None:
    code_of("unknown_key", Vault([NEW]), b64decode(VECTORS[0][0]), ROW)


def code_of(code: str, vault: Vault, blob: bytes, row: bytes) -> None:
    with pytest.raises(Unreadable) as problem:
        vault.open(blob, row)
    assert problem.value.code == code
    assert problem.value.cure


def test_a_value_comes_back_as_it_was() -> None:
    value = {"api_key": "s3cret", "ports": [25, 587], "nested": {"a": None}}
    blob = Vault([NEW]).seal(value, ROW)
    assert Vault([NEW]).open(blob, ROW) == value
    assert Vault([NEW]).open(memoryview(blob), ROW) == value  # type: ignore[arg-type]
    assert b"s3cret" not in blob
    assert blob[:1] == b"\x02"
    assert len(blob) == 1 + 4 + 12 + len(b'{"api_key":"s3cret","ports":[25,587],"nested":{"a":null}}') + 16


def test_the_same_value_is_never_sealed_the_same_twice() -> None:
    vault = Vault([NEW])
    assert len({vault.seal({}, ROW) for _ in range(100)}) == 100


def test_it_opens_for_its_own_row_only() -> None:
    code_of("damaged", Vault([NEW]), Vault([NEW]).seal({"a": 1}, b"adapter:1"), b"adapter:2")


def test_an_older_key_opens_until_it_is_taken_out_of_the_ring() -> None:
    blob = Vault([OLD]).seal({"a": 1}, ROW)
    ring = Vault([NEW, OLD])
    assert ring.open(blob, ROW) == {"a": 1}
    assert ring.needs_rotation(blob)
    assert Vault([NEW]).open(ring.rotate(blob, ROW), ROW) == {"a": 1}
    code_of("unknown_key", Vault([NEW]), blob, ROW)


def test_what_is_sealed_with_the_newest_key_is_left_as_it_is() -> None:
    vault = Vault([NEW, OLD])
    blob = vault.seal({"a": 1}, ROW)
    assert vault.rotate(blob, ROW) == blob


@given(st.integers(0, 44), st.integers(0, 7))
def test_no_bit_can_be_flipped(place: int, bit: int) -> None:
    blob = bytearray(Vault([NEW]).seal({"a": "0123456789"}, ROW))
    blob[place] ^= 1 << bit
    with pytest.raises(Unreadable):
        Vault([NEW]).open(bytes(blob), ROW)


@given(st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda tail: b"\x01" + tail)))
def test_rubbish_is_unreadable_and_nothing_worse(blob: bytes) -> None:
    with pytest.raises(Unreadable):
        Vault([NEW]).open(blob, ROW)


def test_only_maps_are_opened_as_maps_and_only_json_is_sealed() -> None:
    vault = Vault([NEW])
    code_of("not_a_map", vault, vault.seal_bytes(b"[1]", ROW), ROW)
    code_of("not_a_map", vault, vault.seal_bytes(b"", ROW), ROW)
    with pytest.raises(Invalid):
        vault.seal({"callback": print}, ROW)


def test_keys_are_checked_and_never_shown() -> None:
    with pytest.raises(BadSettings) as none:
        Vault([])
    assert none.value.code == "missing"
    with pytest.raises(BadSettings) as short:
        Vault([b"short"])
    assert short.value.code == "invalid_length"
    assert repr(Vault([NEW])) == "Vault(1 keys)"


def test_sealing_and_opening_make_no_cipher_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    vault, old = Vault([NEW, OLD]), Vault([OLD])
    monkeypatch.delattr("dripdrop.vault.AESGCM")
    assert vault.open(vault.seal({"api_key": "s3cret"}, ROW), ROW) == {"api_key": "s3cret"}
    assert vault.open(old.seal({"api_key": "s3cret"}, ROW), ROW) == {"api_key": "s3cret"}
