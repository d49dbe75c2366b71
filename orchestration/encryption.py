"""Encrypts values of rows for applications that keep them in PostgreSQL, which never sees a key.

A token is printable text, `abk1.<key id>.<nonce, ciphertext and tag in base64url>`: AES-256-GCM with a
random nonce of 96 bits. It is bound to its row, so that it decrypts nowhere else. What only looks like a
token is told by the key alone: nobody can write one that decrypts.

    keys = Keys.chosen()
    cell = Cell("agentic.agent_decisions", "decision_rationale",
                {"session_id": session_id, "decision_id": decision_id})
    rationale = keys.encrypt("The invoice was paid twice.", cell)
    keys.decrypt(rationale, cell)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS_VARIABLE = "AGENTBOOKS_KEYS"
FILE_VARIABLE = "AGENTBOOKS_KEYS_FILE"
PREFIX = "abk1."
KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
ENCODER = msgspec.json.Encoder()
MAKE_ONE = "make one with `openssl rand -base64 32`"


class DecryptionError(AgentbooksError):
    """A token does not decrypt; the sentence says why."""


@dataclass(frozen=True)
class Cell:
    """Where a value stands: what its token is bound to.

    Attributes:
        table: Raw table, with its schema, also for rows in its archive.
        column: Column.
        identity: Values of the columns that `ops.row_identity(table)` lists: the primary key without the
            time that the table is partitioned by.
    """

    table: str
    column: str
    identity: Mapping[str, Any]

    def __str__(self) -> str:
        row = ", ".join(f"{name}={value}" for name, value in sorted(self.identity.items()))
        return f"{self.table}.{self.column} ({row})"

    def bound(self, key_id: str) -> bytes:
        """Give what is authenticated with the value: compact JSON, with UUIDs as PostgreSQL writes them."""
        row = []
        for name in sorted(self.identity):
            text = str(self.identity[name])
            row.append((name, text.lower() if UUID.fullmatch(text) else text))
        return ENCODER.encode([PREFIX, key_id, self.table, self.column, row])


@dataclass(frozen=True)
class Keys:
    """Keys by id, of which one encrypts and all decrypt.

    A key is good for four thousand million values, as its nonces are random: make the next one before.
    """

    current: str
    by_id: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def chosen(cls) -> Keys | None:
        """Return those that AGENTBOOKS_KEYS or the file of AGENTBOOKS_KEYS_FILE names; None without either.

        Raises:
            AgentbooksError: The file cannot be read, or a key is none.
        """
        given, path = os.environ.get(KEYS_VARIABLE), os.environ.get(FILE_VARIABLE)
        if given and path:
            raise AgentbooksError(
                f"keys: {KEYS_VARIABLE} and {FILE_VARIABLE} are both set; unset one of them."
            )
        if given:
            return cls.read(given, KEYS_VARIABLE)
        if not path:
            return None
        try:
            with open(path, encoding="utf-8") as file:
                return cls.read(file.read(), path)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise AgentbooksError(
                f"keys: cannot read {path} ({reason}); check {FILE_VARIABLE} and the rights to it."
            ) from error

    @classmethod
    def read(cls, text: str, source: str) -> Keys:
        """Read keys written as `id:base64`, one a line or with commas between; the first is the current one.

        Args:
            text: What to read; lines that begin with # say nothing.
            source: What to call it in a failure. No failure repeats a key.
        """
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        entries = [entry.strip() for line in lines for entry in line.split(",") if entry.strip()]
        by_id: dict[str, bytes] = {}
        for number, entry in enumerate(entries, 1):
            key_id, _, encoded = entry.partition(":")
            if not KEY_ID.fullmatch(key_id) or not encoded:
                raise AgentbooksError(
                    f"keys: entry {number} of {source} is no `id:key`; an id has up to 32 letters, digits, "
                    "_ and -."
                )
            if key_id in by_id:
                raise AgentbooksError(f"keys: {source} has key {key_id} twice; leave one.")
            try:
                key = base64.b64decode(
                    encoded.strip().replace("-", "+").replace("_", "/"), validate=True
                )
            except binascii.Error as error:
                raise AgentbooksError(
                    f"keys: key {key_id} of {source} is no base64; {MAKE_ONE}."
                ) from error
            if len(key) != KEY_BYTES:
                raise AgentbooksError(
                    f"keys: key {key_id} of {source} has {len(key)} bytes, not {KEY_BYTES}; {MAKE_ONE}."
                )
            by_id[key_id] = key
        if not by_id:
            raise AgentbooksError(
                f"keys: {source} has no key; {MAKE_ONE} and write it as `id:key`."
            )
        return cls(next(iter(by_id)), by_id)

    def fingerprint(self, key_id: str) -> str:
        """Hash a key, so that another one by the same name is found out; the key does not follow from it."""
        return hashlib.sha256(b"agentbooks key " + self.by_id[key_id]).hexdigest()

    def encrypt(self, text: str, cell: Cell) -> str:
        """Encrypt a text with the current key, for its place and no other."""
        nonce = os.urandom(NONCE_BYTES)
        bound = cell.bound(self.current)
        sealed = nonce + self._ciphers[self.current].encrypt(nonce, text.encode(), bound)
        return f"{PREFIX}{self.current}.{_encoded(sealed)}"

    def decrypt(self, token: str, cell: Cell) -> str:
        """Decrypt what stands in a place; what does not begin like a token is returned as it is.

        Raises:
            DecryptionError: Its key is not given, or it was cut, changed or moved, or never was a token.
        """
        if not token.startswith(PREFIX):
            return token
        key_id, _, encoded = token.removeprefix(PREFIX).partition(".")
        if key_id not in self.by_id:
            given = f"key {key_id}" if KEY_ID.fullmatch(key_id) else "a key"
            raise DecryptionError(
                f"{cell} is encrypted with {given} that is not given; add it to {KEYS_VARIABLE} or the file "
                f"of {FILE_VARIABLE}."
            )
        try:
            sealed = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
            if len(sealed) < NONCE_BYTES + TAG_BYTES or encoded != _encoded(sealed):
                raise ValueError
            nonce, sealed = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            return self._ciphers[key_id].decrypt(nonce, sealed, cell.bound(key_id)).decode()
        except (InvalidTag, ValueError) as error:
            raise DecryptionError(
                f"{cell} does not decrypt: it was cut, changed or moved there from another row, or is a text "
                "that only looks encrypted; look it up in a backup, or take it as it is by "
                "`agentbooks encrypt --take-as-text`."
            ) from error

    def encrypt_json(self, value: Any, cell: Cell) -> dict[str, str]:
        """Encrypt a JSON value; the result is an object, as columns of type jsonb mostly ask for one."""
        return {"encrypted": self.encrypt(json.dumps(value), cell)}

    def decrypt_json(self, value: Any, cell: Cell) -> Any:
        """Decrypt what `encrypt_json` has made; any other value is returned as it is.

        Raises:
            DecryptionError: As `decrypt`.
        """
        token = token_in(value)
        return value if token is None else json.loads(self.decrypt(token, cell))

    @cached_property
    def _ciphers(self) -> dict[str, AESGCM]:
        return {key_id: AESGCM(key) for key_id, key in self.by_id.items()}


def token_in(value: Any) -> str | None:
    """Return what looks like a token in a JSON value or text; None if nothing does."""
    if isinstance(value, dict) and len(value) == 1:
        value = value.get("encrypted")
    return value if isinstance(value, str) and value.startswith(PREFIX) else None


def _encoded(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")
