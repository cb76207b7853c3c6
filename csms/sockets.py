"""Ports whose connections write at once what the kernel takes.

Twisted keeps what is written until the reactor has asked whether the socket can be written to: two system calls and a
turn of the reactor for an answer that nearly always fits. Here only what does not fit takes that way.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import IListeningPort, IProtocolFactory


class PromptServer(tcp.Server):
    """A server's end of a connection. Whatever is written arrives in order, as with any transport."""

    _waits = False
    """There may be something to write before, or a close that waits for it."""

    def startWriting(self) -> None:  # noqa: N802
        """Something has to wait until the socket can be written to."""
        self._waits = True
        super().startWriting()

    def stopWriting(self) -> None:  # noqa: N802
        """Nothing waits any more."""
        self._waits = False
        super().stopWriting()

    def abortConnection(self) -> None:  # noqa: N802
        """Close without writing what waits, or anything more."""
        super().abortConnection()
        self._waits = True

    def write(self, data: bytes) -> None:
        """Write ``data``, now if nothing waits; a producer that wants to be asked for more is asked by the reactor."""
        if isinstance(data, bytes) and data and self._is_prompt:
            sent = self.writeSomeData(data)
            # An error is met again, and told of, where the reactor writes.
            if isinstance(sent, int):
                if sent == len(data):
                    return
                data = data[sent:]
        super().write(data)

    @property
    def _is_prompt(self) -> bool:
        pulls = self.producer is not None and not self.streamingProducer
        return bool(self.connected) and not (self._waits or self.TLS or pulls)


class PromptPort(tcp.Port):
    """A port that makes such connections."""

    transport = PromptServer


def listen(reactor: Any, port: int, factory: IProtocolFactory, *, interface: str, backlog: int = 50) -> IListeningPort:
    """Listen on a TCP port, 0 for any. Raises :class:`twisted.internet.error.CannotListenError`."""
    listening = PromptPort(port, factory, backlog, interface, reactor)
    listening.startListening()
    return listening
