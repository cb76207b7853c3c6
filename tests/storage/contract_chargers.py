"""Chargers, connectors, reported variables and id tokens, for each kind of database."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

from sqlalchemy import select

from csms.domain.model import Charger, IdToken, Registration, ReportedVariable
from csms.storage.chargers import MAX_DEVICE_ID_CHARACTERS
from csms.storage.tables import reported_variables
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.databases import NOW, DatabaseCase, PostgresqlCase, SqliteCase


def variable(charger_id: int, name: str = "Heartbeat", **values: object) -> ReportedVariable:
    """A reported variable of the component OCPPCommCtrlr."""
    fields = {"component": "OCPPCommCtrlr", "variable": name, "reported_at": NOW} | values
    return ReportedVariable(charger_id=charger_id, **fields)  # type: ignore[arg-type]


class ChargersContract(DatabaseCase):
    async def test_every_field_of_a_charger_comes_back(self) -> None:
        full = Charger(
            device_id="CP-1",
            registration=Registration.PENDING,
            ocpp_version="ocpp2.0.1",
            vendor="v",
            model="m",
            serial_number="s",
            firmware_version="f",
            iccid="i",
            imsi="j",
            password_hash="p",
            connected=True,
            connection_id="c",
            gateway="g",
            connected_at=NOW,
            disconnected_at=NOW,
            last_seen_at=NOW,
            booted_at=NOW,
            boot_reason="b",
            firmware_status="fs",
            diagnostics_status="d",
            created_at=NOW,
        )
        await self.write(lambda uow: uow.chargers.add(full))
        self.assertEqual(await self.look(lambda uow: uow.chargers.by_device_id("CP-1")), full)

    async def test_adding_a_device_id_twice_gives_the_first_charger(self) -> None:
        first = await self.a_charger()
        self.assertEqual(await self.a_charger(), first)

    async def test_adding_a_device_id_twice_in_one_transaction_gives_the_same_object(self) -> None:
        def work(uow: SqlUnitOfWork) -> bool:
            return uow.chargers.add(Charger(device_id="CP-1")) is uow.chargers.add(Charger(device_id="CP-1"))

        self.assertTrue(await self.write(work))

    async def test_racing_adds_of_one_device_id_make_one_charger(self) -> None:
        ids = await self.race(lambda uow, _: uow.chargers.add(Charger(device_id="CP-1")).id)
        self.assertEqual(len(set(ids)), 1)
        self.assertEqual(len(await self.look(lambda uow: uow.chargers.page())), 1)

    async def test_a_device_id_of_absurd_length_is_refused_by_name(self) -> None:
        for device_id in ("", "x" * (MAX_DEVICE_ID_CHARACTERS + 1)):
            adding = self.write(lambda uow, name: uow.chargers.add(Charger(device_id=name)), device_id)
            await self.refused(adding, ValueError)
        await self.a_charger("x" * MAX_DEVICE_ID_CHARACTERS)
        self.assertIsNone(await self.look(lambda uow: uow.chargers.by_device_id("y" * 100_000)))

    async def test_many_chargers_are_found_by_their_device_ids(self) -> None:
        one, two = await self.a_charger("CP-1"), await self.a_charger("CP-2")

        def work(uow: SqlUnitOfWork) -> tuple[dict[str, int], bool, bool]:
            known = uow.chargers.by_device_id("CP-1")
            found = uow.chargers.by_device_ids(["CP-2", "cp-2", "CP-1", "", "y" * 100_000])
            again = uow.chargers.by_device_ids(["CP-2", "cp-2"])
            ids = {device_id: charger.id for device_id, charger in found.items()}
            return ids, found["CP-1"] is known, again == {"CP-2": found["CP-2"]}

        self.assertEqual(await self.look(work), ({"CP-1": one, "CP-2": two}, True, True))

    async def test_device_ids_differ_by_case(self) -> None:
        self.assertNotEqual(await self.a_charger("cp"), await self.a_charger("CP"))

    async def test_removing_a_charger_takes_its_connectors_and_variables_along(self) -> None:
        charger_id = await self.a_charger()
        await self.write(lambda uow: uow.chargers.connector(charger_id, 1, 1).id)
        await self.write(lambda uow: uow.chargers.report([variable(charger_id)]))

        def remove(uow: SqlUnitOfWork) -> tuple[bool, bool, bool]:
            uow.chargers.connector(charger_id, 2, 1).status = "Available"
            removed = uow.chargers.remove("CP-1")
            return removed, uow.chargers.get(charger_id) is None, uow.chargers.by_device_id("CP-1") is None

        self.assertEqual(await self.write(remove), (True, True, True))
        self.assertEqual(await self.look(lambda uow: uow.chargers.connectors([charger_id])), [])
        self.assertFalse(await self.write(lambda uow: uow.chargers.remove("CP-1")))

    async def test_the_id_of_a_removed_charger_is_never_given_again(self) -> None:
        first = await self.a_charger()
        await self.write(lambda uow: uow.chargers.remove("CP-1"))
        self.assertGreater(await self.a_charger(), first)

    async def test_pages_follow_one_another_in_the_order_of_device_ids(self) -> None:
        for name in ("b", "a", "ä", "B", "_", "a-1"):
            await self.a_charger(name)
        seen: list[str] = []
        after = ""
        while page := await self.look(lambda uow, behind: uow.chargers.page(after=behind, limit=2), after):
            seen += [charger.device_id for charger in page]
            after = seen[-1]
        self.assertEqual(seen, ["B", "_", "a", "a-1", "b", "ä"])

    async def test_device_ids_of_many_chargers_leave_out_unknown_ones(self) -> None:
        one, two = await self.a_charger("CP-1"), await self.a_charger("CP-2")
        found = await self.look(lambda uow: uow.chargers.device_ids([one, two, 987654]))
        self.assertEqual(found, {one: "CP-1", two: "CP-2"})

    async def test_a_connector_is_made_when_it_is_first_asked_for(self) -> None:
        charger_id = await self.a_charger()

        def change(uow: SqlUnitOfWork) -> int:
            connector = uow.chargers.connector(charger_id, 2, 1)
            connector.status, connector.status_at = "Charging", NOW
            uow.chargers.connector(charger_id, 1, 1)
            return connector.id

        connector_id = await self.write(change)
        found = await self.look(lambda uow: uow.chargers.connectors([charger_id]))
        self.assertEqual(
            [(one.evse_id, one.connector_id, one.status) for one in found], [(1, 1, ""), (2, 1, "Charging")]
        )
        self.assertEqual((found[1].id, found[1].status_at), (connector_id, NOW))

    async def test_racing_reports_of_a_new_connector_make_one(self) -> None:
        charger_id = await self.a_charger()
        ids = await self.race(lambda uow, _: uow.chargers.connector(charger_id, 1, 1).id)
        self.assertEqual(len(set(ids)), 1)

    async def test_chargers_connected_through_a_gateway(self) -> None:
        for name, gateway, connected in (("a", "g1", True), ("b", "g1", False), ("c", "g2", True), ("d", "g1", True)):
            charger = Charger(device_id=name, gateway=gateway, connected=connected)
            await self.write(lambda uow, one: uow.chargers.add(one), charger)

        def disconnect(uow: SqlUnitOfWork) -> list[str]:
            found = uow.chargers.connected_through("g1")
            for charger in found:
                charger.connected = False
            self.assertEqual(uow.chargers.connected_through("g1"), [])
            return [charger.device_id for charger in found]

        self.assertEqual(await self.write(disconnect), ["a", "d"])
        self.assertEqual(await self.look(lambda uow: uow.chargers.connected_through("g1")), [])

    async def test_the_newest_report_of_a_variable_wins(self) -> None:
        charger_id = await self.a_charger()
        late, early = NOW + timedelta(seconds=1), NOW - timedelta(seconds=1)
        reports = [
            [variable(charger_id, value="1"), variable(charger_id, value="2"), variable(charger_id, evse_id=1)],
            [variable(charger_id, value="3", reported_at=late), variable(charger_id, value="4")],
            [variable(charger_id, value="5", reported_at=early)],
            [variable(charger_id, name="x" * 100_000, value="long")],
        ]
        for report in reports:
            await self.write(lambda uow, variables: uow.chargers.report(variables), report)
        columns = reported_variables.c
        query = select(columns.evse_id, columns.value).order_by(columns.evse_id, columns.value)
        self.assertEqual(
            await self.look(lambda uow: list(map(tuple, uow._sql.rows(query)))), [(0, "3"), (0, "long"), (1, "")]
        )

    async def test_a_value_without_description_leaves_the_description(self) -> None:
        charger_id, two = await self.a_charger(), await self.a_charger("CP-2")
        described = {"mutability": "ReadWrite", "data_type": "integer", "unit": "s"}
        late = NOW + timedelta(seconds=1)
        full, bare = variable(charger_id, value="1", **described), variable(charger_id, value="2", reported_at=late)
        await self.write(lambda uow: uow.chargers.report([full]))
        await self.write(lambda uow: uow.chargers.report([bare]))
        of_two = [dataclasses.replace(one, charger_id=two) for one in (full, bare)]
        await self.write(lambda uow: uow.chargers.report(of_two))
        columns = reported_variables.c
        query = select(columns.value, columns.mutability, columns.data_type, columns.unit)
        found = await self.look(lambda uow: list(map(tuple, uow._sql.rows(query))))
        self.assertEqual(found, [("2", "ReadWrite", "integer", "s")] * 2)

    async def test_id_tokens_are_found_whatever_their_case(self) -> None:
        token = IdToken(
            token="Straße-Ab",
            type="ISO14443",
            blocked=True,
            expires_at=NOW,
            group="family",
            max_sessions=2,
            note="n",
            created_at=NOW,
        )
        await self.write(lambda uow: uow.id_tokens.add(token))
        for spelling in ("STRASSE-AB", "straße-ab"):
            self.assertEqual(await self.look(lambda uow, text: uow.id_tokens.get(text), spelling), token)
        self.assertIsNone(await self.look(lambda uow: uow.id_tokens.get("Strase-Ab")))

    async def test_adding_a_token_twice_gives_the_first(self) -> None:
        first = await self.write(lambda uow: uow.id_tokens.add(IdToken(token="ab", note="first")))
        second = await self.write(lambda uow: uow.id_tokens.add(IdToken(token="AB", note="second")))
        self.assertEqual((second.id, second.note), (first.id, "first"))

    async def test_a_token_blocked_in_a_transaction_is_blocked_after_it(self) -> None:
        await self.write(lambda uow: uow.id_tokens.add(IdToken(token="ab")))

        def block(uow: SqlUnitOfWork) -> None:
            token = uow.id_tokens.get("AB")
            assert token is not None
            token.blocked = True

        await self.write(block)
        found = await self.look(lambda uow: uow.id_tokens.get("ab"))
        assert found is not None
        self.assertTrue(found.blocked)

    async def test_tokens_are_listed_page_by_page(self) -> None:
        for name in ("c", "B", "a"):
            await self.write(lambda uow, text: uow.id_tokens.add(IdToken(token=text)), name)
        first = await self.look(lambda uow: uow.id_tokens.page(limit=2))
        rest = await self.look(lambda uow: uow.id_tokens.page(after=first[-1].token, limit=2))
        self.assertEqual([token.token for token in [*first, *rest]], ["a", "B", "c"])


class SqliteChargers(ChargersContract, SqliteCase):
    pass


class PostgresqlChargers(ChargersContract, PostgresqlCase):
    pass


del ChargersContract, DatabaseCase, SqliteCase, PostgresqlCase
