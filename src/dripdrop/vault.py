"""How are credentials sealed, and with which key are they opened again?

Our format, all AES-256-GCM: a byte 2, the first 4 bytes of the key's SHA-256, a 12-byte nonce, ciphertext and 16-byte
tag. The header and the row the value belongs to are associated data, so a sealed value cannot be moved to another row.

The reference's format is read as well, and never written: a byte 1, the length of a label and the label, an IV of 16
bytes (or 12), a 16-byte tag, ciphertext; associated data `AES256GCM`. It names neither key nor row.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dripdrop.errors import BadSettings, Invalid, Unreadable

OURS, REFERENCE = 2, 1
REFERENCE_DATA = b"AES256GCM"
KEY_BYTES, ID_BYTES, NONCE_BYTES, TAG_BYTES = 32, 4, 12, 16
_HEADER = 1 + ID_BYTES
_TEXT = _HEADER + NONCE_BYTES


class Vault:
    """Seals with the newest key, opens with any of them. `keys` are 32 bytes each, newest first."""

    __slots__ = ("_by_id", "_ciphers", "_header", "_newest")

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise BadSettings("A vault needs a key.", cure="Set DRIPDROP_ENCRYPTION_KEY.", code="missing")
        if any(len(key) != KEY_BYTES for key in keys):
            raise BadSettings(f"A key must be {KEY_BYTES} bytes.", cure="Make a new one.", code="invalid_length")
        # Making a cipher costs more than opening a value with it.
        self._ciphers = [AESGCM(key) for key in keys]
        ids = [sha256(key).digest()[:ID_BYTES] for key in keys]
        self._by_id: dict[bytes, list[AESGCM]] = {}
        for key_id, cipher in zip(ids, self._ciphers, strict=True):
            self._by_id.setdefault(key_id, []).append(cipher)
        self._newest = self._ciphers[0]
        self._header = bytes([OURS]) + ids[0]

    def __repr__(self) -> str:
        return f"Vault({len(self._ciphers)} keys)"

    def seal(self, value: Mapping[str, Any], bound_to: bytes) -> bytes:
        """The value as JSON, sealed for this row; raises `Invalid` for what JSON cannot hold."""
        try:
            plain = orjson.dumps(dict(value))
        except TypeError as problem:
            raise Invalid(f"This cannot be sealed: {problem}.", cure="Pass text, numbers, lists and maps.") from None
        return self.seal_bytes(plain, bound_to)

    def open(self, blob: bytes, bound_to: bytes) -> dict[str, Any]:
        """The value again; raises `Unreadable` for a wrong key, another row or damage."""
        plain = self.open_bytes(blob, bound_to)
        try:
            value = orjson.loads(plain)
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            raise Unreadable("The sealed value is not a map.", cure="Write the credentials again.", code="not_a_map")
        return value

    def seal_bytes(self, plain: bytes, bound_to: bytes) -> bytes:
        """Any bytes, sealed for this row."""
        nonce = os.urandom(NONCE_BYTES)
        return self._header + nonce + self._newest.encrypt(nonce, plain, self._header + bound_to)

    def open_bytes(self, blob: bytes, bound_to: bytes) -> bytes:
        """The bytes again; raises `Unreadable`."""
        blob = bytes(blob)
        if blob[:1] == b"\x02" and len(blob) >= _TEXT + TAG_BYTES:
            return self._open_ours(blob, bound_to)
        if blob[:1] == b"\x01":
            return self._open_reference(blob)
        raise _damaged()

    def needs_rotation(self, blob: bytes) -> bool:
        """Whether it was sealed with an older key, or by the reference."""
        return not bytes(blob).startswith(self._header)

    def rotate(self, blob: bytes, bound_to: bytes) -> bytes:
        """The same value sealed with the newest key; as it is where it already was."""
        return self.seal_bytes(self.open_bytes(blob, bound_to), bound_to) if self.needs_rotation(blob) else bytes(blob)

    def _open_ours(self, blob: bytes, bound_to: bytes) -> bytes:
        header = blob[:_HEADER]
        ciphers = self._by_id.get(header[1:])
        if ciphers is None:
            raise Unreadable(
                f"This was sealed with a key ({header[1:].hex()}) that is not here.",
                cure="Add that key to DRIPDROP_ENCRYPTION_KEY, after the newest and a comma.",
                code="unknown_key",
            )
        for cipher in ciphers:
            try:
                return cipher.decrypt(blob[_HEADER:_TEXT], blob[_TEXT:], header + bound_to)
            except InvalidTag:
                continue
        raise _damaged()

    def _open_reference(self, blob: bytes) -> bytes:
        body = blob[_label_end(blob) :]
        for iv_bytes in (16, 12):
            iv, tag, text = body[:iv_bytes], body[iv_bytes : iv_bytes + TAG_BYTES], body[iv_bytes + TAG_BYTES :]
            if len(tag) < TAG_BYTES:
                continue
            for cipher in self._ciphers:
                try:
                    return cipher.decrypt(iv, text + tag, REFERENCE_DATA)
                except InvalidTag:
                    continue
        raise Unreadable(
            "None of the keys opens this value of the reference's format.",
            cure="Add the key it was sealed with to DRIPDROP_ENCRYPTION_KEY, after the newest and a comma.",
            code="unknown_key",
        )


def _label_end(blob: bytes) -> int:
    """Where the label ends: its length is one byte below 128, else 128 plus the count of big-endian length bytes."""
    if len(blob) < 2:
        raise _damaged()
    first = blob[1]
    if first < 128:
        return 2 + first
    count = first & 0x7F
    return 2 + count + int.from_bytes(blob[2 : 2 + count])


def _damaged() -> Unreadable:
    return Unreadable(
        "The sealed value is damaged, or was moved from another row.",
        cure="Write the credentials again.",
        code="damaged",
    )
