"""Groups, unknown tokens, imports, and what a transaction sees of its own changes, for each kind of database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from csms.domain.actions import handle
from csms.domain.handling import Policy
from csms.domain.model import Charger, IdToken, SessionState
from csms.domain.token_records import Stored, TokenGroup
from csms.ocpp.quirks import Deviation
from csms.storage import token_groups, tokens
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.batches import Fleet, handled, prepare
from tests.storage.databases import NOW, DatabaseCase, PostgresqlCase, SqliteCase, a_message, a_session, kept


def limited(uow: SqlUnitOfWork, count: int) -> tuple[list[int], int]:
    """As ``prepare``, with all cards in groups that have limits."""
    ids, epoch = prepare(uow, count)
    for number in range(count):
        token = uow.id_tokens.get(f"CARD{number}")
        assert token is not None
        token.group = f"GROUP{number}"
        uow.token_groups.add(TokenGroup(name=token.group, max_sessions=1))
    return ids, epoch


class TokensContract(DatabaseCase):
    async def test_tokens_of_any_characters_are_found_at_once(self) -> None:
        odd = ['say "hi"', "back\\slash", "\\", "{a,b}", "NULL", "null,", "it's", "%s %(keys)s", ":keys", "ünï→", "[]"]

        def add(uow: SqlUnitOfWork) -> None:
            for token in odd:
                uow.id_tokens.add(IdToken(token=token))

        def find(uow: SqlUnitOfWork) -> list[str]:
            uow.id_tokens.load([*odd, "UNKNOWN"])
            return [record.token for token in odd if (record := uow.id_tokens.get(token)) is not None]

        await self.write(add)
        self.assertEqual(await self.look(find), odd)

    async def test_a_group_is_found_in_any_case_and_added_once(self) -> None:
        first = await self.write(lambda uow: uow.token_groups.add(TokenGroup(name="Straße", max_sessions=3)))
        again = await self.write(lambda uow: uow.token_groups.add(TokenGroup(name="STRASSE")))
        self.assertEqual((again.id, again.max_sessions), (first.id, 3))

        def change(uow: SqlUnitOfWork) -> None:
            group = uow.token_groups.get("strasse")
            assert group is not None
            group.max_sessions = None

        await self.write(change)
        self.assertEqual([one.max_sessions for one in await self.look(lambda uow: uow.token_groups.page())], [None])

    async def test_groups_are_listed_in_order_and_removed(self) -> None:
        for name in ("b", "A", "c"):
            await self.write(lambda uow, name=name: uow.token_groups.add(TokenGroup(name=name)))
        page = await self.look(lambda uow: uow.token_groups.page(after="a", limit=1))
        self.assertEqual([one.name for one in page], ["b"])
        self.assertTrue(await self.write(lambda uow: uow.token_groups.remove("B")))
        self.assertFalse(await self.write(lambda uow: uow.token_groups.remove("B")))
        self.assertEqual([one.name for one in await self.look(lambda uow: uow.token_groups.page())], ["A", "c"])

    async def test_a_token_that_changed_within_the_transaction_is_seen(self) -> None:
        charger_id = await self.a_charger()
        await self.write(lambda uow: uow.sessions.add(a_session(charger_id, 1, id_token="old", group_id_token="G1")))

        def change(uow: SqlUnitOfWork) -> tuple[int, int, int, int]:
            session = uow.sessions.by_transaction(charger_id, "1")
            assert session is not None
            uow.sessions.active_with_token("new")
            session.id_token, session.group_id_token = "NEW", "G2"
            return (
                len(uow.sessions.active_with_token("old")),
                len(uow.sessions.active_with_token("new")),
                len(uow.sessions.active_with_group("g1")),
                len(uow.sessions.active_with_group("g2")),
            )

        self.assertEqual(await self.write(change), (0, 1, 0, 1))
        self.assertEqual(len(await self.look(lambda uow: uow.sessions.active_with_token("new"))), 1)
        self.assertEqual(len(await self.look(lambda uow: uow.sessions.active_with_group("G2"))), 1)

    async def test_only_running_sessions_are_with_a_group(self) -> None:
        charger_id = await self.a_charger()
        ended = a_session(charger_id, 1, group_id_token="G", state=SessionState.ENDED)
        await self.write(lambda uow: uow.sessions.add(ended))
        await self.write(lambda uow: uow.sessions.add(a_session(charger_id, 2, group_id_token="G")))
        found = await self.look(lambda uow: uow.sessions.active_with_group("g"))
        self.assertEqual([session.transaction_id for session in found], ["2"])

    async def test_starts_that_two_workers_handle_at_once_exceed_no_limit(self) -> None:
        ids = [await self.a_charger(f"CP-{number}") for number in range(8)]

        def know(uow: SqlUnitOfWork) -> None:
            uow.id_tokens.add(IdToken(token="CARD", max_sessions=2))
            uow.token_groups.add(TokenGroup(name="FLEET", max_sessions=3))
            for charger_id in ids:
                uow.id_tokens.add(IdToken(token=f"CARD-{charger_id}", group="Fleet"))

        def start(uow: SqlUnitOfWork, started: tuple[int, str]) -> None:
            charger_id, token = started
            asked: dict[str, Any] = {"connectorId": 1, "idTag": token, "meterStart": 0, "timestamp": "later"}
            message = replace(a_message(charger_id, action="StartTransaction", **asked), ocpp_version="1.6")
            uow.preload([message])
            handle(message, uow, Policy())

        await self.write(know)
        for limit, given in ((2, [(one, "CARD") for one in ids]), (3, [(one, f"CARD-{one}") for one in ids])):
            await self.race(start, given)
            tokens_of = dict(given)
            running = await self.look(lambda uow: uow.sessions.page(active=True))
            told = [one.authorization_status for one in running if one.id_token == tokens_of[one.charger_id]]
            self.assertEqual((told.count("Accepted"), told.count("ConcurrentTx")), (limit, len(ids) - limit))

    async def test_limits_of_groups_cost_a_batch_no_statement_for_each(self) -> None:
        counts = []
        for size in (20, 120):
            self.url = self.fresh_url()
            self.database = await self.opened()
            ids, epoch = await self.write(limited, size)
            fleet = Fleet(ids)
            statements = self.statements()
            await self.write(handled, [fleet.start(index) for index in range(size)], epoch)
            counts.append(len([one for one in statements if "id_token_groups" in one or "group_key" in one]))
        self.assertEqual(counts[0], counts[1])

    async def test_orphan_stops_cost_a_batch_no_statement_for_each(self) -> None:
        counts = []
        for size in (20, 120):
            self.url = self.fresh_url()
            self.database = await self.opened()
            ids, epoch = await self.write(prepare, size)
            fleet = Fleet(ids)
            statements = self.statements()
            await self.write(handled, [fleet.stop(index, 0) for index in range(size)], epoch)
            counts.append(len(statements))
            orphans = await self.look(lambda uow: uow.sessions.page(limit=500))
            self.assertEqual(len(orphans), size)
        self.assertEqual(counts[0], counts[1])

    async def test_a_stop_that_was_attached_to_its_session_is_found_again(self) -> None:
        charger_id = await self.a_charger()
        await self.write(lambda uow: uow.sessions.add(a_session(charger_id, 1, stop_key="k" * 64)))
        found = await self.look(lambda uow: uow.sessions.by_stop_key(charger_id, "k" * 64))
        assert found is not None
        self.assertEqual(found.transaction_id, "1")
        for wrong in ((charger_id, "j" * 64), (charger_id + 1, "k" * 64)):
            self.assertIsNone(await self.look(lambda uow, wrong=wrong: uow.sessions.by_stop_key(*wrong)))

    async def test_unknown_tokens_are_counted_by_charger(self) -> None:
        charger_id, other_id = await self.a_charger(), await self.a_charger("CP-2")

        def see(uow: SqlUnitOfWork, minutes: int) -> None:
            at = NOW + timedelta(minutes=minutes)
            uow.unknown_tokens.seen(charger_id, "Stranger", type="", at=at, in_session=False)
            uow.unknown_tokens.seen(charger_id, "STRANGER", type="", at=at, in_session=True)

        await self.write(see, 0)
        await self.write(see, 5)
        await self.write(
            lambda uow: uow.unknown_tokens.seen(other_id, "Stranger", type="ISO14443", at=NOW, in_session=False)
        )
        newest, oldest = await self.look(lambda uow: uow.unknown_tokens.page())
        self.assertEqual((newest.charger_id, newest.type, newest.count, newest.sessions), (other_id, "ISO14443", 1, 0))
        self.assertEqual((oldest.token, oldest.count, oldest.sessions), ("Stranger", 4, 2))
        self.assertEqual((oldest.first_seen, oldest.last_seen), (NOW, NOW + timedelta(minutes=5)))
        only = await self.look(lambda uow: uow.unknown_tokens.page(charger_id=charger_id))
        self.assertEqual([one.id for one in only], [oldest.id])
        older = await self.look(lambda uow: uow.unknown_tokens.page(before_id=newest.id))
        self.assertEqual([one.id for one in older], [oldest.id])

    async def test_one_that_has_become_known_is_not_listed_any_more(self) -> None:
        charger_id = await self.a_charger()
        await self.write(lambda uow: uow.unknown_tokens.seen(charger_id, "Stranger", type="", at=NOW, in_session=True))
        await self.write(lambda uow: uow.id_tokens.add(IdToken(token="STRANGER")))
        self.assertEqual(await self.look(lambda uow: uow.unknown_tokens.page()), [])

    async def test_of_too_many_the_newest_and_those_of_sessions_are_kept(self) -> None:
        self.patch(token_groups, "KEPT_PER_CHARGER", 3)
        charger_id, other_id = await self.a_charger(), await self.a_charger("CP-2")
        await self.write(lambda uow: uow.unknown_tokens.seen(other_id, "OTHER", type="", at=NOW, in_session=False))
        for number in range(6):
            at = NOW + timedelta(minutes=number)
            await self.write(
                lambda uow, number=number, at=at: uow.unknown_tokens.seen(
                    charger_id, f"T{number}", type="", at=at, in_session=number == 0
                )
            )
        kept = await self.look(lambda uow: uow.unknown_tokens.page(charger_id=charger_id))
        self.assertEqual([one.token for one in kept], ["T5", "T4", "T0"])
        self.assertEqual(len(await self.look(lambda uow: uow.unknown_tokens.page(charger_id=other_id))), 1)

    async def test_an_import_adds_and_replaces_in_few_statements(self) -> None:
        self.patch(tokens, "CHUNK", 4)
        await self.write(lambda uow: uow.id_tokens.add(IdToken(token="t1", note="old", blocked=True, created_at=NOW)))

        def put(uow: SqlUnitOfWork) -> tuple[Stored, str]:
            before = uow.id_tokens.get("T1")
            assert before is not None
            stored = uow.id_tokens.put(IdToken(token=f"T{number}", note="new") for number in range(10))
            uow.id_tokens.add(IdToken(token="later"))
            after = uow.id_tokens.get("T1")
            assert after is not None
            return stored, after.note

        self.assertEqual(await self.write(put), (Stored(added=9, replaced=1), "new"))
        page = await self.look(lambda uow: uow.id_tokens.page())
        self.assertEqual(len(page), 11)
        replaced = next(one for one in page if one.token == "T1")
        self.assertEqual((replaced.note, replaced.blocked, replaced.created_at), ("new", False, NOW))

    async def test_what_was_seen_too_long_ago_goes(self) -> None:
        charger_id = await self.a_charger()

        def see(uow: SqlUnitOfWork) -> None:
            for name, at in (("OLD", NOW - timedelta(days=500)), ("NEW", NOW)):
                uow.unknown_tokens.seen(charger_id, name, type="", at=at, in_session=False)
                uow.deviations.note(charger_id, name, [Deviation("null", "$.x")], at=at)

        await self.write(see)
        await self.database.maintain(NOW, kept(400))
        self.assertEqual([one.token for one in await self.look(lambda uow: uow.unknown_tokens.page())], ["NEW"])
        self.assertEqual([one.action for one in await self.look(lambda uow: uow.deviations.of(charger_id))], ["NEW"])

    async def test_rows_go_with_their_charger(self) -> None:
        charger_id = await self.a_charger()
        await self.write(lambda uow: uow.unknown_tokens.seen(charger_id, "X", type="", at=NOW, in_session=False))
        await self.write(lambda uow: uow.chargers.remove("CP-1"))
        self.assertEqual(await self.look(lambda uow: uow.unknown_tokens.page()), [])
        await self.write(lambda uow: uow.chargers.add(Charger(device_id="CP-1")))


class SqliteTokens(TokensContract, SqliteCase):
    pass


class PostgresqlTokens(TokensContract, PostgresqlCase):
    pass


del TokensContract, DatabaseCase, PostgresqlCase, SqliteCase
