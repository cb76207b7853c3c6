"""How often somebody may try to sign in by name and password.

Failures count for a name at an address, for an address, and for a name. The last two would let a guesser keep others
out: everybody behind the same router, or the name's owner wherever they are. So they do not hold for a name that has
signed in from that very address before; those may always fail a few times.
"""

from __future__ import annotations

from collections import OrderedDict

from csms.addresses import network_of
from csms.throttle import Throttle

WINDOW_S = 300.0
PAIR_LIMIT = 5
ADDRESS_LIMIT = 30
NAME_LIMIT = 50
MAX_KNOWN = 10_000


class Tries:
    """Times are seconds of any clock. Bounded: what is oldest is forgotten first."""

    def __init__(self) -> None:
        self._pairs = Throttle(limit=PAIR_LIMIT, window_s=WINDOW_S)
        self._addresses = Throttle(limit=ADDRESS_LIMIT, window_s=WINDOW_S)
        self._names = Throttle(limit=NAME_LIMIT, window_s=WINDOW_S)
        self._known: OrderedDict[str, None] = OrderedDict()

    def blocked_for_s(self, name: str, address: str, now: float) -> float:
        """How long that name has to wait at that address; 0: not at all."""
        place, pair = network_of(address), _pair(name, address)
        waits = [self._pairs.blocked_for_s(pair, now)]
        if pair not in self._known:
            waits += [self._addresses.blocked_for_s(place, now), self._names.blocked_for_s(_key(name), now)]
        return max(waits)

    def failed(self, name: str, address: str, now: float) -> None:
        """A wrong name or password."""
        self._pairs.failed(_pair(name, address), now)
        self._addresses.failed(network_of(address), now)
        self._names.failed(_key(name), now)

    def take_back(self, name: str, address: str) -> None:
        """What was counted as failed could not be looked at."""
        self._pairs.take_back(_pair(name, address))
        self._addresses.take_back(network_of(address))
        self._names.take_back(_key(name))

    def succeeded(self, name: str, address: str) -> None:
        """What was counted as failed was right."""
        self.take_back(name, address)
        pair = _pair(name, address)
        self._pairs.forget(pair)
        self._known.pop(pair, None)
        if len(self._known) >= MAX_KNOWN:
            self._known.popitem(last=False)
        self._known[pair] = None


def _key(name: str) -> str:
    return name.casefold()


def _pair(name: str, address: str) -> str:
    return f"{network_of(address)} {_key(name)}"
