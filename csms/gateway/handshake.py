"""What a charger's HTTP request says before it becomes a WebSocket: who it is, and how it proves that.

Sources: OCPP-J 1.6 section 3.1; OCPP 2.x part 4 section 3; RFC 7617 (Basic).
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

PATH = "/ocpp/"
MAX_DEVICE_ID_CHARS = 48
MAX_CREDENTIALS_CHARS = 1024
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_FORBIDDEN = frozenset(":/\\")
"""Colon: the user name of Basic ends there. Slashes: one path segment is one identity."""


def device_id_of(uri: str) -> str | None:
    """The identity in a request's URI (``/ocpp/<deviceId>``, percent-encoded UTF-8); None when there is no usable one.

    ``uri`` is the request target, its bytes read as Latin-1. A query is left aside.
    """
    path = uri.partition("?")[0]
    if not path.startswith(PATH) or len(path) > len(PATH) + 12 * MAX_DEVICE_ID_CHARS or _BAD_ESCAPE.search(path):
        return None
    try:
        device_id = unquote_to_bytes(path[len(PATH) :].encode("latin-1")).decode()
    except UnicodeError:
        return None
    if not 1 <= len(device_id) <= MAX_DEVICE_ID_CHARS or not device_id.isprintable():
        return None
    if device_id != device_id.strip() or device_id in {".", ".."} or not _FORBIDDEN.isdisjoint(device_id):
        return None
    return device_id


def basic_credentials(authorization: str) -> tuple[bytes, bytes] | None:
    """User name and password of an Authorization header, as bytes; None when it is not well-formed Basic.

    Bytes because 1.6 chargers may send their key's raw bytes, which are no text (security whitepaper, A00.FR.205).
    """
    scheme, _, encoded = authorization.strip().partition(" ")
    encoded = encoded.strip()
    if scheme.lower() != "basic" or len(encoded) > MAX_CREDENTIALS_CHARS:
        return None
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon else None
