"""A charger's new password, from the moment it is sent until it is known which one the charger has.

1.6: ChangeConfiguration of AuthorizationKey (Security Whitepaper A01); 2.x: SetVariables of BasicAuthPassword. As long
as the answer is not known, the old password and the new ones open the door, so that no lost answer locks a charger out:

- Accepted: the charger has the new one, and the old one is refused (A01.FR.03).
- Rejected: the charger has the old one, and the new one is forgotten (A01.FR.04).
- no answer: whichever the charger comes with. The first login with a new one settles it like an acceptance.

Every new password has the name of the command that carries it, because several may be under way.
"""

from __future__ import annotations

from collections.abc import Mapping

from csms.domain.credentials import hash_password, verify
from csms.domain.model import Charger

MAX_ON_THE_WAY = 8


class TooManyPasswords(ValueError):  # noqa: N818 - it names what is wrong
    """None may be forgotten, because the charger may have any of them."""


def offer(charger: Charger, name: str, password: str) -> None:
    """``password`` goes to the charger by the command ``name``. Raises :class:`TooManyPasswords`."""
    if len(charger.next_passwords) >= MAX_ON_THE_WAY:
        raise TooManyPasswords(f"{MAX_ON_THE_WAY} new passwords are on their way to this charger already")
    charger.next_passwords[name] = hash_password(password)


def replace(charger: Charger, password: str) -> None:
    """Somebody has set ``password`` in the charger by hand: no other one opens any more, nor will one on its way."""
    charger.password_hash = hash_password(password)
    charger.next_passwords.clear()


def arrived(next_passwords: Mapping[str, str], presented: bytes) -> str | None:
    """The name of the new password that was ``presented``; None when it is none of them."""
    return next((name for name, stored in next_passwords.items() if verify(stored, presented)), None)


def confirm(charger: Charger, name: str) -> None:
    """The charger has the new password ``name``: neither the old one nor any offered before it opens any more.

    Does nothing for one that is settled already.
    """
    if name not in charger.next_passwords:
        return
    for earlier in list(charger.next_passwords):
        stored = charger.next_passwords.pop(earlier)
        if earlier == name:
            charger.password_hash = stored
            return


def withdraw(charger: Charger, name: str) -> None:
    """The charger has not taken the new password ``name``."""
    charger.next_passwords.pop(name, None)
