"""``python -m bench.stand.drainer URL QUEUE...``: takes messages off queues and forgets them, until it is ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pika

from tests.integration.processes import ROOT, environment


@contextmanager
def drained(url: str, queues: Sequence[str]) -> Iterator[None]:
    """While this lasts, a process of its own empties ``queues``."""
    command = [sys.executable, "-m", "bench.stand.drainer", url, *queues]
    process = subprocess.Popen(command, cwd=ROOT, env=environment({}))
    try:
        yield
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Take and forget."""
    channel = pika.BlockingConnection(pika.URLParameters(sys.argv[1])).channel()
    for queue in sys.argv[2:]:
        channel.basic_consume(queue, lambda *_: None, auto_ack=True)
    channel.start_consuming()


if __name__ == "__main__":
    main()
