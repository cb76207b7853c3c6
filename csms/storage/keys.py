"""Keys for unique indices over text that chargers choose.

A B-tree refuses entries beyond some 2,700 bytes in PostgreSQL, and a charger may send longer identifiers. So indices
hold a 64-bit digest, always together with the charger, and the text itself stays whole in its own column.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

_CACHED_CHARACTERS = 200


def digest(*parts: str | int) -> int:
    """A signed 64-bit number for ``parts``; lengths are part of it, so that neighbours cannot run into each other."""
    for part in parts:
        if isinstance(part, str) and len(part) > _CACHED_CHARACTERS:
            # What chargers send must not stay in memory because it was long once.
            return _digest(*parts)
    return _cached(*parts)


def folded(token: str) -> str:
    """An id token as it is compared: without regard to case."""
    return token.casefold()


def _digest(*parts: str | int) -> int:
    hashed = blake2b(digest_size=8)
    for part in parts:
        data = str(part).encode("utf-8", "surrogatepass")
        hashed.update(b"%d:" % len(data))
        hashed.update(data)
    return int.from_bytes(hashed.digest(), "big", signed=True)


_cached = lru_cache(maxsize=8192)(_digest)
