"""Every part with its own users and the rights of docs/examples: it works, may do no more, and tells no secret."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import re
import signal
import unittest
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika
import psycopg2
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from csms.api.resources.registry import OPERATIONS
from csms.domain.credentials import generate_password
from tests.integration.chargers import Account
from tests.integration.people import browser, get, post, sign_in
from tests.integration.processes import Service, admin
from tests.integration.restricted import ADMIN, GATEWAY, MIGRATOR, SERVICE, WORKER, Restricted, run_sql
from tests.integration.scenario import TOKEN, Scenario, query
from tests.servers.daemon import free_port, wait_until
from tests.workers.receiver import Receiver

FTP_SECRET = "ftp-password-of-somebody"
PERSONS_PASSWORD = "a person's long password"


class RightsTests(unittest.IsolatedAsyncioTestCase):
    async def test_with_few_rights_all_works_and_no_secret_is_left_anywhere(self) -> None:
        hook, secret = self.receiver(), f"hook-{uuid.uuid4().hex}"
        worker_port = free_port()
        site = Restricted(self, {"CSMS_WORKER_HTTP_PORT": str(worker_port)})
        (site.directory / "tap.conf").write_text(
            f"[webhook erp]\nurl = {hook.url()}\nsecret = {secret}\nallow_private = yes\n"
        )
        site.start()
        accounts = [site.account("OLD-1"), site.account("NEW-1")]
        site.add_token(TOKEN)
        copy = Copy(site.broker_url)
        self.addCleanup(copy.close)
        scenario = Scenario(self, site.database_url, accounts)
        cookie = sign_in(site.gateway.sign_in_link())
        async with browser(site.gateway.http_port, cookie) as seen:
            await scenario.run(seen)
        scenario.check_browser(seen)
        scenario.check_rows()
        self.assertTrue(wait_until(lambda: bool(hook.requests), 15.0))
        port = site.gateway.http_port
        self.assertEqual(get(port, "/api/v1/dead-letters", cookie)["items"], [])

        key = generate_password()
        await self.command(site, accounts[0], cookie, key)
        user = {"name": "ann", "password": PERSONS_PASSWORD, "role": "operator"}
        self.assertEqual((await asyncio.to_thread(post, port, "/api/v1/users", user, cookie))[0], 201)
        wish = {"name": "meter", "role": "viewer", "expiresAt": "2100-01-01T00:00:00Z"}
        status, made = await asyncio.to_thread(post, port, "/api/v1/api-tokens", wish, cookie)
        self.assertEqual(status, 201)

        self.check_listening(site, worker_port)
        secrets = {
            *site.secrets.values(),
            *(account.password for account in accounts),
            key,
            bytes.fromhex(key).decode("latin-1"),
            FTP_SECRET,
            PERSONS_PASSWORD,
            made["token"],
            cookie.partition("=")[2],
            secret,
        }
        # What is on its way to a charger is in the outbox until the broker has it.
        self.assertTrue(wait_until(lambda: query(site.database_url, "select count(*) from outbox") == [(0,)], 15.0))
        places = dict(self.places(site, cookie, copy))
        places |= {f"command line of {one.name}": cmdline(one.pid) for one in site.services}
        for service in site.services:
            self.assertEqual(service.terminate(), -signal.SIGTERM)
            self.assertEqual(service.complaints(), [])
            places[f"log of {service.name}"] = service.output()
        self.assertGreater(len(places), 40)
        for place, text in places.items():
            self.assertNotEqual(text, "", place)
            for one in secrets:
                self.assertFalse(one in text or json.dumps(one)[1:-1] in text, f"a secret is in {place}")
        self.check_broker_rights(site)
        self.check_database_rights(site)

    def receiver(self) -> Receiver:
        hook = Receiver()
        self.addCleanup(hook.close)
        return hook

    async def command(self, site: Restricted, account: Account, cookie: str, key: str) -> None:
        """Give the charger a new password, and have it send its diagnostics to a server with one."""
        told = {"key": "AuthorizationKey", "readonly": False, "value": key}  # write-only, but some tell it
        wishes: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
            ("ChangeConfiguration", {"key": "AuthorizationKey", "value": key}, {"status": "Accepted"}),
            ("GetDiagnostics", {"location": f"ftp://csms:{FTP_SECRET}@files.example/in"}, {"fileName": "log.zip"}),
            ("GetConfiguration", {}, {"configurationKey": [told]}),
        )
        async with connect(
            f"ws://127.0.0.1:{account.gateway_port}/ocpp/{account.device_id}",
            subprotocols=[Subprotocol("ocpp1.6")],
            additional_headers={"Authorization": basic(account)},
        ) as socket:
            for action, payload, answer in wishes:
                path = f"/api/v1/chargers/{account.device_id}/commands/{action}"
                asked = asyncio.create_task(asyncio.to_thread(post, site.gateway.http_port, path, payload, cookie))
                frame = json.loads(await socket.recv())
                self.assertEqual(frame[2:], [action, payload])
                await socket.send(json.dumps([3, frame[1], answer]))
                status, answered = await asked
                self.assertEqual((status, answered["state"]), (200, "answered"), answered)

    def places(self, site: Restricted, cookie: str, copy: Copy) -> Iterator[tuple[str, str]]:
        """Everything that csms shows or keeps, by its name."""
        port = site.gateway.http_port
        for row in OPERATIONS:
            path = row.template.replace("{deviceId}", "OLD-1")
            if row.method == "GET" and "{" not in path and row.answer is not bytes:
                yield f"GET {path}", json.dumps(get(port, path, cookie))
        for command in get(port, "/api/v1/commands", cookie)["items"]:
            yield f"command {command['action']}", json.dumps(get(port, f"/api/v1/commands/{command['id']}", cookie))
        yield "an error", json.dumps(post(port, "/api/v1/users", {"password": PERSONS_PASSWORD + "\0"}, cookie)[1])[:80]
        for service in site.services:
            yield f"metrics of {service.name}", text_of(service, "/metrics")
            yield f"health of {service.name}", text_of(service, "/health")
        for (table,) in query(site.database_url, "select tablename from pg_tables where schemaname = 'public'"):
            yield f"table {table}", f"{table}: {query(site.database_url, f'select t::text from {table} t')}"
        yield "messages on the broker", copy.text()

    def check_listening(self, site: Restricted, worker_port: int) -> None:
        """Each process listens on the ports of its settings, on loopback, and nowhere else."""
        gateway, worker = site.services
        wanted = {("127.0.0.1", site.gateway_port), ("127.0.0.1", gateway.http_port)}
        self.assertEqual(listening(gateway.pid), wanted)
        self.assertEqual(listening(worker.pid), {("127.0.0.1", worker.http_port)})

    def check_broker_rights(self, site: Restricted) -> None:
        for user, refused in (
            (GATEWAY, ("consume ocpp_messages.0", "consume notifications", "declare ocpp_messages.9", "declare x")),
            (WORKER, ("consume gateway.gw", "consume dead_letter_queue", "declare gateway.x", "publish ocpp_exchange")),
            (ADMIN, ("declare x", "declare gateway.x", "consume gateway.gw")),
        ):
            for what in refused:
                self.assertEqual(outcome(site.broker_user_url(user), *what.split()), 403, f"{user}: {what}")

    def check_database_rights(self, site: Restricted) -> None:
        statements = (
            "create table x (i int)",
            "drop table chargers",
            "truncate charger_data",
            "alter table chargers add x int",
        )
        for statement in statements:
            with self.assertRaises(psycopg2.errors.InsufficientPrivilege, msg=statement):
                run_sql(site.database_role_url(SERVICE), statement)
        run_sql(site.database_role_url(MIGRATOR), "create table x (i int); drop table x")
        admin(site.directory, site.admin_settings, "migrate")


def basic(account: Account) -> str:
    return "Basic " + base64.b64encode(f"{account.device_id}:{account.password}".encode()).decode()


class Copy:
    """A copy of every message that passes the broker's exchanges, from the moment it is made."""

    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._queue = self._channel.queue_declare("", exclusive=True).method.queue
        for exchange, key in (("ocpp_exchange", "#"), ("events_exchange", "#"), ("dead_letter_exchange", "")):
            self._channel.queue_bind(self._queue, exchange, key)

    def text(self) -> str:
        taken: list[str] = []
        while True:
            method, properties, body = self._channel.basic_get(self._queue, auto_ack=True)
            if method is None:
                return "\n".join(taken)
            taken.append(f"{properties} {body.decode('latin-1')}")

    def close(self) -> None:
        self._connection.close()


def text_of(service: Service, path: str) -> str:

    connection = http.client.HTTPConnection("127.0.0.1", service.http_port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def cmdline(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def listening(pid: int) -> set[tuple[str, int]]:
    """Address and port of each socket on which the process listens."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        found = re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink()))
        if found:
            inodes.add(found[1])
    sockets = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, _, port = fields[1].partition(":")
                sockets.add((".".join(str(byte) for byte in reversed(bytes.fromhex(address))), int(port, 16)))
    return sockets


def outcome(url: str, what: str, name: str) -> int:
    """0, or the code of the broker's refusal."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        channel = connection.channel()
        ways: dict[str, Callable[[], object]] = {
            "declare": lambda: channel.queue_declare(name),
            "consume": lambda: channel.basic_get(name),
            "publish": lambda: (channel.confirm_delivery(), channel.basic_publish(name, "ocpp.message.x", b"{}")),
        }
        ways[what]()
    except pika.exceptions.ChannelClosedByBroker as refusal:
        return int(refusal.reply_code)
    finally:
        connection.close()
    return 0
