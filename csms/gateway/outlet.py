"""One connection's messages on their way to the broker."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

from csms.domain import topology
from csms.domain.identifiers import new_id
from csms.domain.messages import (
    CALL_REFUSED,
    COMMAND_RESULT,
    COMMAND_SENT,
    CONNECTION_CLOSED,
    CONNECTION_OPENED,
    ChargerMessage,
    CommandOrder,
)
from csms.domain.secrets import without_secrets
from csms.gateway.admission import Identity
from csms.gateway.upstream import Upstream
from csms.logs import TRAIL
from csms.ocpp import frames, json
from csms.ocpp.errors import spelling
from csms.ocpp.events import CallReceived, Refused, SendReceived
from csms.ocpp.versions import Version
from csms.ports import BrokerError
from csms.walltime import utc

_MAY_HOLD_SECRETS = frozenset({"NotifyReport", "NotifyEvent"})
"""They tell what variables of the device model are; passwords are not to be among them, but who knows."""

REFUSALS_PER_MINUTE = 60
"""CALLs of one connection that are told of though they were refused; a broken charger would fill the message log."""
MAX_WORD = 255

Told = CallReceived | SendReceived
_log = Logger(namespace="csms.gateway")


class Outlet:
    """Makes the broker's messages out of a connection's events. Its methods raise BrokerError, but ``refused``."""

    __slots__ = (
        "_identity",
        "_refusals",
        "_refusals_since",
        "_shard",
        "_upstream",
        "_version",
        "connection_id",
        "told_at",
    )

    def __init__(self, upstream: Upstream, identity: Identity, version: Version) -> None:
        self.told_at = upstream.clock.seconds()
        """When something was last published: the charger counts as seen then."""
        self.connection_id = self.new_id(self.told_at)
        self._upstream = upstream
        self._identity = identity
        self._version = version
        self._refusals = 0
        self._refusals_since = self.told_at
        self._shard = upstream.shard_of(identity.device_id)

    @staticmethod
    def new_id(now: float) -> str:
        """An id at this time (Unix, seconds)."""
        return new_id(int(now * 1000))

    async def publish(self, event: Told, message_id: str, *, wants_reply: bool = False) -> None:
        """Done when the broker has confirmed."""
        fault = event.fault if isinstance(event, CallReceived) else None
        payload, raw = event.payload, event.raw
        if event.action in _MAY_HOLD_SECRETS:
            payload = without_secrets(payload)
            if payload is not event.payload:
                raw = frames.encode(frames.Call(event.unique_id, event.action, payload))
        message = self._message(
            message_id,
            event.action,
            payload,
            raw_data=raw,
            unique_id=event.unique_id,
            fault=str(fault) if fault is not None else "",
            cleaned=event.cleaned,
            deviations=event.deviations,
        )
        key = topology.message_key(event.action)
        if TRAIL.on:
            self._trail("{action} {message_id} of {charger} goes to the broker", message)
        await self._upstream.publish(message, key, shard=self._shard, wants_reply=wants_reply)
        if TRAIL.on:
            self._trail("{action} {message_id} of {charger} is safe in the broker", message)

    def _trail(self, text: str, message: ChargerMessage) -> None:
        _log.debug(
            text,
            action=message.message_type,
            charger=message.device_id,
            message_id=message.message_id,
            unique_id=message.unique_id,
            connection_id=message.connection_id,
        )

    async def opened(self, payload: dict[str, Any]) -> None:
        """Tell of the connection's begin."""
        message = self._message(self.connection_id, CONNECTION_OPENED, payload)
        await self._upstream.publish(message, topology.CONNECTION_OPENED_KEY, shard=self._shard)

    async def closed(self, payload: dict[str, Any]) -> None:
        """Tell of its end, however long it takes: nobody else notes that a charger of a living gateway is gone."""
        message = self._message(self.new_id(self._upstream.clock.seconds()), CONNECTION_CLOSED, payload)
        await self._upstream.publish_surely(message, topology.CONNECTION_CLOSED_KEY, shard=self._shard)

    async def refused(self, event: Refused) -> None:
        """Tell of a CALL that got a CALLERROR here. Nobody waits for it: without the broker it is not told."""
        now = self._upstream.clock.seconds()
        if now - self._refusals_since >= 60.0:
            self._refusals, self._refusals_since = 0, now
        self._refusals += 1
        if self._refusals > REFUSALS_PER_MINUTE:
            return
        message = self._message(
            self.new_id(now),
            CALL_REFUSED,
            {"action": event.action[:MAX_WORD]},
            raw_data=_without_secrets(event.raw),
            unique_id=event.unique_id[:MAX_WORD],
            fault=f"{spelling(event.code, self._version)}: {event.description}",
        )
        try:
            await self._upstream.publish(message, topology.CALL_REFUSED_KEY, shard=self._shard)
        except BrokerError as error:
            _log.debug("a refused CALL of {charger} is not told: {e}", charger=message.device_id, e=str(error))

    async def command_sent(self, order: CommandOrder, text: str) -> None:
        """Tell that ``text``, less its secrets, is about to be written. Done when the broker has confirmed."""
        message = self._of_command(order, COMMAND_SENT, {}, text)
        await self._upstream.publish(message, topology.result_key(order.action), shard=self._shard)

    async def command_result(self, order: CommandOrder, outcome: dict[str, Any], raw: str) -> None:
        """Tell what came of a command, however long it takes."""
        message = self._of_command(order, COMMAND_RESULT, outcome, raw)
        await self._upstream.publish_surely(message, topology.result_key(order.action), shard=self._shard)

    def _of_command(self, order: CommandOrder, kind: str, fields: dict[str, Any], raw: str) -> ChargerMessage:
        payload = {"commandId": order.command_id, "action": order.action, **fields}
        message_id = self.new_id(self._upstream.clock.seconds())
        fault = str(fields.get("fault") or fields.get("errorCode") or "")
        return self._message(message_id, kind, payload, raw_data=raw, unique_id=order.command_id, fault=fault)

    def _message(
        self, message_id: str, kind: str, payload: dict[str, Any], *, raw_data: str = "", **fields: Any
    ) -> ChargerMessage:
        upstream = self._upstream
        self.told_at = upstream.clock.seconds()
        return ChargerMessage(
            device_id=self._identity.device_id,
            charger_id=self._identity.charger_id,
            message_type=kind,
            payload=payload,
            timestamp=utc(upstream.clock),
            raw_data=raw_data,
            message_id=message_id,
            connection_id=self.connection_id,
            ocpp_version=self._version.value,
            gateway=upstream.name,
            **fields,
        )


def _without_secrets(raw: str) -> str:
    """The text of a frame; empty where it is none, and nobody knows what is in it."""
    try:
        frame = json.decode(raw).value
    except json.JsonError:
        return ""
    shown = without_secrets(frame)
    return raw if shown is frame else json.encode(shown)
