"""The bad network that tests put between csms and its servers."""

from __future__ import annotations

import socket
import threading
import unittest
from contextlib import suppress

from tests.servers.daemon import wait_until
from tests.servers.proxy import Fate, Link, Network

PATIENCE_S = 30.0


class Echo(threading.Thread):
    """A server that says everything back."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.heard = b""

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(4096):
                    self.heard += data
                    connection.sendall(data)
            except OSError:
                return

    def close(self) -> None:
        """Listen no more."""
        with suppress(OSError):  # it may be closed already
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


class ProxyTests(unittest.TestCase):
    def setUp(self) -> None:
        self.echo = Echo()
        self.echo.start()
        self.addCleanup(self.echo.join, PATIENCE_S)
        self.addCleanup(self.echo.close)
        network = Network()
        self.addCleanup(network.close)
        self.link: Link = network.link(self.echo.port)

    def client(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.link.port), PATIENCE_S)
        self.addCleanup(connection.close)
        return connection

    def hears(self, connection: socket.socket, expected: bytes) -> bool:
        heard = b""
        while len(heard) < len(expected) and (data := connection.recv(4096)):
            heard += data
        return heard == expected

    def test_what_is_stalled_arrives_in_full_after_it(self) -> None:
        client = self.client()
        client.sendall(b"one")
        self.assertTrue(self.hears(client, b"one"))
        self.link.stall(to_client=False)
        client.sendall(b"two")
        newcomer = self.client()
        newcomer.sendall(b"new")
        client.settimeout(0.1)
        self.assertRaises(TimeoutError, client.recv, 10)
        self.assertEqual(self.echo.heard, b"one")
        self.link.resume()
        client.settimeout(PATIENCE_S)
        self.assertTrue(self.hears(client, b"two"))
        self.assertTrue(self.hears(newcomer, b"new"))

    def test_a_cut_is_a_reset_and_new_connections_work(self) -> None:
        client = self.client()
        client.sendall(b"one")
        self.assertTrue(self.hears(client, b"one"))
        self.link.cut()
        self.assertRaises(ConnectionResetError, client.recv, 10)
        again = self.client()
        again.sendall(b"two")
        self.assertTrue(self.hears(again, b"two"))

    def test_a_closed_link_refuses_until_it_is_opened(self) -> None:
        port = self.link.port
        self.link.close()
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", port))
        self.link.open()
        self.assertEqual(self.link.port, port)
        client = self.client()
        client.sendall(b"back")
        self.assertTrue(self.hears(client, b"back"))

    def test_slices_and_delay_change_nothing_of_what_is_said(self) -> None:
        self.link.slice_bytes, self.link.delay_s = 1, 0.01
        client = self.client()
        said = bytes(range(256)) * 20
        client.sendall(said)
        self.assertTrue(self.hears(client, said))

    def test_a_server_hears_what_is_cut_after_and_not_what_is_cut_before(self) -> None:
        fates = {b"COMMIT": Fate.CUT_AFTER, b"ROLLBACK": Fate.CUT_BEFORE}
        self.link.judge = lambda data: fates.get(data, Fate.PASS)
        for said in fates:
            client = self.client()
            client.sendall(said)
            with self.assertRaises(ConnectionResetError):
                self.hears(client, said)
        self.assertTrue(wait_until(lambda: self.link.connections == 0, PATIENCE_S))
        self.assertEqual(self.echo.heard, b"COMMIT")

    def test_a_server_that_is_not_there_resets_the_client(self) -> None:
        self.echo.close()
        with self.assertRaises(ConnectionResetError):
            self.client().recv(10)  # the reset may come as early as the connection
