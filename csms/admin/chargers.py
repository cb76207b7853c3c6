"""``csms-admin charger ...``: which charging stations belong to us, and their passwords."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from csms.admin.auditing import note
from csms.admin.output import Answer, CommandError, table
from csms.admin.site import Site, read_input
from csms.domain import password_rotation
from csms.domain.credentials import generate_password, hash_password, objection
from csms.domain.model import Charger
from csms.domain.repositories import UnitOfWork
from csms.gateway.handshake import PATH, device_id_of
from csms.logs import escape

_PAGE = 500


async def add(site: Site, arguments: argparse.Namespace) -> Answer:
    """Let a charger in."""
    device_id = _device_id(arguments.device_id)
    password = "" if arguments.no_password else _password(arguments.password_file)

    def work(uow: UnitOfWork) -> bool:
        if uow.chargers.by_device_id(device_id) is not None:
            return False
        password_hash = hash_password(password) if password else ""
        uow.chargers.add(Charger(device_id=device_id, password_hash=password_hash, created_at=site.now()))
        note(site, uow, "charger add", f"chargers/{device_id}", after={"password": bool(password)})
        return True

    database = await site.database()
    if not await database.transact(work, name="add charger"):
        raise CommandError(f"charger {device_id} is there already; `charger set-password` gives it another password")
    return _told(f"added charger {device_id}", device_id, password, arguments)


async def set_password(site: Site, arguments: argparse.Namespace) -> Answer:
    """Give a charger another password; a connection that is open stays open."""
    password = _password(arguments.password_file)

    def work(uow: UnitOfWork) -> bool:
        charger = uow.chargers.by_device_id(arguments.device_id)
        if charger is None:
            return False
        password_rotation.replace(charger, password)
        note(site, uow, "charger set-password", f"chargers/{charger.device_id}/password")
        return True

    database = await site.database()
    if not await database.transact(work, name="set charger password"):
        raise _unknown(arguments.device_id)
    return _told(f"charger {arguments.device_id} has a new password", arguments.device_id, password, arguments)


async def bind(site: Site, arguments: argparse.Namespace) -> Answer:
    """Say which serial number stands in a charger's certificate (security profile 3)."""

    def work(uow: UnitOfWork) -> str:
        charger = uow.chargers.by_device_id(arguments.device_id)
        if charger is None:
            raise _unknown(arguments.device_id)
        serial = arguments.serial if arguments.serial is not None else charger.serial_number
        if not serial:
            raise CommandError(f"charger {charger.device_id} has not told its serial number yet: give it")
        holder = uow.chargers.by_certificate_name(serial)
        if holder is not None and holder is not charger:
            raise CommandError(f"{serial} is bound to charger {holder.device_id} already")
        _rebind(site, uow, charger, "charger bind", serial)
        return serial

    database = await site.database()
    serial = await database.transact(work, name="bind serial number")
    return Answer(
        f"the certificate of charger {arguments.device_id} must name CN={escape(serial)}",
        {"deviceId": arguments.device_id, "certificateName": serial},
    )


async def unbind(site: Site, arguments: argparse.Namespace) -> Answer:
    """Let no certificate open for a charger any more."""

    def work(uow: UnitOfWork) -> None:
        charger = uow.chargers.by_device_id(arguments.device_id)
        if charger is None:
            raise _unknown(arguments.device_id)
        _rebind(site, uow, charger, "charger unbind", "")

    database = await site.database()
    await database.transact(work, name="unbind serial number")
    return Answer(f"no certificate opens for charger {arguments.device_id} any more", {"deviceId": arguments.device_id})


async def allow_profile(site: Site, arguments: argparse.Namespace) -> Answer:
    """Let a charger connect with a lower security profile than it has had."""

    def work(uow: UnitOfWork) -> int:
        charger = uow.chargers.by_device_id(arguments.device_id)
        if charger is None:
            raise _unknown(arguments.device_id)
        before = charger.security_profile
        charger.security_profile = min(before, arguments.profile)
        note(
            site,
            uow,
            "charger allow-profile",
            f"chargers/{charger.device_id}",
            before={"leastSecurityProfile": before},
            after={"leastSecurityProfile": charger.security_profile},
        )
        return charger.security_profile

    database = await site.database()
    least = await database.transact(work, name="allow security profile")
    return Answer(
        f"charger {arguments.device_id} may connect with security profile {least} or higher",
        {"deviceId": arguments.device_id, "leastSecurityProfile": least},
    )


async def remove(site: Site, arguments: argparse.Namespace) -> Answer:
    """Let a charger in no more."""

    def work(uow: UnitOfWork) -> bool:
        charger = uow.chargers.by_device_id(arguments.device_id)
        if charger is None:
            return False
        note(
            site,
            uow,
            "charger remove",
            f"chargers/{charger.device_id}",
            before={"registration": charger.registration.value},
        )
        return uow.chargers.remove(charger.device_id)

    database = await site.database()
    if not await database.transact(work, name="remove charger"):
        raise _unknown(arguments.device_id)
    return Answer(
        f"removed charger {arguments.device_id}; its sessions and its message log stay",
        {"deviceId": arguments.device_id},
    )


async def list_all(site: Site, arguments: argparse.Namespace) -> Answer:
    """All chargers."""
    database = await site.database()
    rows: list[dict[str, Any]] = []
    after = ""
    while True:

        def work(uow: UnitOfWork, after: str = after) -> Sequence[Charger]:
            return uow.chargers.page(after=after, limit=_PAGE)

        page = await database.read(work, name="list chargers")
        rows += [
            {
                "deviceId": charger.device_id,
                "registration": charger.registration.value,
                "password": bool(charger.password_hash),
                "leastProfile": charger.security_profile,
                "certificateName": charger.certificate_name,
                "connected": charger.connected,
                "lastSeenAt": charger.last_seen_at,
                "ocppVersion": charger.ocpp_version,
                "vendor": charger.vendor,
                "model": charger.model,
            }
            for charger in page
        ]
        if len(page) < _PAGE:
            return table(rows, "no chargers yet; `csms-admin charger add <deviceId>` adds one")
        after = page[-1].device_id


def _rebind(site: Site, uow: UnitOfWork, charger: Charger, action: str, serial: str) -> None:
    before, charger.certificate_name = charger.certificate_name, serial
    note(
        site,
        uow,
        action,
        f"chargers/{charger.device_id}",
        before={"certificateName": before},
        after={"certificateName": serial},
    )


def _device_id(text: str) -> str:
    if device_id_of(PATH + quote(text, safe="")) != text:
        raise CommandError(
            f"{text!r} cannot be a deviceId: 1 to 48 printable characters, no colon, no slashes, no blanks at the ends"
        )
    return text


def _password(file: str | None) -> str:
    """The password in ``file``, or a new one."""
    if file is None:
        return generate_password()
    password = read_input(file).strip()
    why_not = objection(password)
    if why_not:
        raise CommandError(f"the password in {'standard input' if file == '-' else file} is refused: {why_not}")
    return password


def _told(what: str, device_id: str, password: str, arguments: argparse.Namespace) -> Answer:
    """Say a password that was made just now, once; one that the operator gave is known already."""
    data: dict[str, Any] = {"deviceId": device_id}
    if not password:
        return Answer(f"{what}, without a password: it needs gateway.require_password = no", data)
    if arguments.password_file is not None:
        return Answer(what, data)
    return Answer(
        f"{what}\npassword: {password}\nEnter it at the charger now: only its hash is kept.",
        {**data, "password": password},
    )


def _unknown(device_id: str) -> CommandError:
    return CommandError(f"there is no charger {device_id}")
