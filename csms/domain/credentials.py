"""Passwords of chargers (HTTP Basic, security profiles 1 and 2): long random keys, kept as a salted fast hash.

A slow hash would protect weak passwords, but costs minutes of processor time when 5,000 chargers reconnect; so weak
ones are refused when they are set (:func:`objection`) and a fast hash is enough.

1.6 hands the key out as up to 40 hexadecimal digits, and chargers disagree whether the digits or the bytes that they
stand for are the password on the wire (Security Whitepaper, edition 2, section 3.1). Both open the door.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import itertools
import re
import secrets

MIN_LENGTH = 16
MAX_LENGTH = 40
_MIN_DIFFERENT = 8
_SALT_BYTES = 16
_SCHEME = "sha256-1"
_KEY_BYTES = (16, 20)
_HEX_KEY = re.compile(rb"(?:[0-9A-Fa-f]{2}){16,20}")


def generate_password() -> str:
    """A new key of 160 random bits: 40 hexadecimal digits, which suit 1.6 and 2.x alike."""
    return secrets.token_hex(20)


def objection(password: str) -> str:
    """Why ``password`` must not be set for a charger; empty when it may.

    2.x ``BasicAuthPassword``: 16 to 40 printable characters; 1.6 ``AuthorizationKey``: 32 to 40 hexadecimal digits
    (16 to 20 bytes), which is within that.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        return f"it must have {MIN_LENGTH} to {MAX_LENGTH} characters"
    if not password.isascii() or not password.isprintable() or " " in password:
        return "it must consist of printable ASCII characters without blanks"
    if len(set(password)) < _MIN_DIFFERENT or password in (password + password)[1:-1]:
        return "it repeats itself: take a random one"
    if len({ord(after) - ord(before) for before, after in itertools.pairwise(password)}) == 1:
        return "it is a plain sequence: take a random one"
    return ""


def hash_password(password: bytes | str) -> str:
    """What to store for ``password``: scheme, salt and digest, so that the scheme can change one day."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"{_SCHEME}${salt.hex()}${_digest(salt, _bytes(password)).hex()}"


def verify(stored: str, presented: bytes | str) -> bool:
    """Whether ``presented`` is the password behind ``stored``; takes the same time whether it is or not.

    False for an empty or foreign ``stored``: no password set means that none is right.
    """
    scheme, _, rest = stored.partition("$")
    salt_text, _, digest_text = rest.partition("$")
    try:
        salt, digest = bytes.fromhex(salt_text), bytes.fromhex(digest_text)
    except ValueError:
        return False
    matches = hmac.compare_digest(_digest(salt, _bytes(presented)), digest)
    return matches and scheme == _SCHEME


def is_random_key(presented: bytes) -> bool:
    """Whether it looks like 128 random bits or more, which nobody guesses, however often they may try.

    Text is not taken for random, nor are hexadecimal digits that stand for text.
    """
    key = _raw(presented)
    try:
        key.decode()
    except UnicodeDecodeError:
        return _KEY_BYTES[0] <= len(key) <= _KEY_BYTES[1]
    return False


def _bytes(password: bytes | str) -> bytes:
    return password.encode("utf-8", "surrogatepass") if isinstance(password, str) else password


def _digest(salt: bytes, password: bytes) -> bytes:
    return hashlib.sha256(salt + _raw(password)).digest()


def _raw(password: bytes) -> bytes:
    """A key's bytes, whether they or their hexadecimal digits are given."""
    return binascii.unhexlify(password) if _HEX_KEY.fullmatch(password) else password
