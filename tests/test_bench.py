"""The benchmarks work. How fast anything is, no test says."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from websockets.utils import apply_mask

from bench import mixed
from bench.load import frames
from bench.stand.processes import cpu_s
from bench.stand.report import load_table, text_of
from bench.stand.servers import Servers
from tests.servers import postgresql_server, rabbitmq_server


class MixedTests(unittest.TestCase):
    def test_a_short_run_stores_all_that_it_was_answered(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        servers = Servers(Path(directory.name), rabbitmq_server(), postgresql_server())
        arguments = mixed.BENCH.parser.parse_args(["--chargers", "5", "--seconds", "1", "--warm-up", "0.1"])
        rows = mixed.run(servers, arguments)  # fails when something that was answered is not stored
        for figures in rows:
            self.assertEqual(figures["errors"], {})
            self.assertGreater(figures["total"]["StopTransaction"], 0)
        table = text_of(load_table(rows))
        self.assertEqual(
            [line.split("  mixed")[0].strip() for line in table.splitlines()[1:]], ["csms", "csms, 1 shard"]
        )


class FrameTests(unittest.TestCase):
    def test_a_frame_is_what_an_independent_server_unmasks(self) -> None:
        for length in (0, 1, 125, 126, 1000, 65535, 65536):
            payload = bytes(range(256)) * 257
            sent = frames.frame(payload[:length])
            head = len(sent) - length - 4
            self.assertEqual(apply_mask(sent[head + 4 :], sent[head : head + 4]), payload[:length])
            self.assertEqual(sent[1] & 0x80, 0x80)

    def test_a_server_frame_is_read_once_it_is_all_there(self) -> None:
        for payload in (b"", b"[3]", b"x" * 126, b"y" * 65536):
            size = len(payload)
            head = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big") if size < 65536 else b"\x7f"
            head += size.to_bytes(8, "big") if size >= 65536 else b""
            data = b"before\x81" + head + payload
            self.assertIsNone(frames.parse(data[:-1], 6))
            self.assertEqual(frames.parse(data + b"\x81", 6), (frames.TEXT, payload, len(data)))

    def test_a_masked_or_fragmented_frame_of_a_server_is_none(self) -> None:
        for head in (b"\x81\x80", b"\x01\x00", b"\xc1\x00"):
            with self.assertRaises(frames.Broken):
                frames.parse(head, 0)


class ProcessTests(unittest.TestCase):
    def test_the_time_of_a_process_is_counted_with_its_children(self) -> None:
        burn = "import time\nwhile time.process_time() < 0.3: pass\nprint('burnt', flush=True); input()"
        child = [sys.executable, "-c", burn]
        parent = "import subprocess, sys; subprocess.run(sys.argv[1:], check=True)"
        process = subprocess.Popen(
            [sys.executable, "-c", parent, *child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(process.wait)
        with process:
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), "burnt\n")
            self.assertGreaterEqual(cpu_s({"it": [process.pid]})["it"], 0.29)
            process.communicate("\n")
