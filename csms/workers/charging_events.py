"""The charging-events worker: writes the summary of every session that has ended, the basis of a receipt.

A session's ``charging.stopped`` makes the summary; a ``charging.updated`` that follows it (late meter values, a late
stop) makes it anew. Summaries are made from the database and replace one another, so a repeat changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from csms.domain.messages import Notification, NotificationType, decode_notification
from csms.domain.model import Session, SessionState
from csms.domain.repositories import UnitOfWork
from csms.domain.samples import POWER, REGISTER
from csms.ports import Database, Message
from csms.workers.outcomes import ACK, DeadLetter, Outcome
from csms.workers.rollup import highest_average_w, highest_power_w, summarise

MAX_SAMPLES = 100_000
"""More are not looked at for the peak: a year of one a minute would be five times that."""


class SummaryWork:
    """The work of the queue ``charging_events``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def decode(self, message: Message) -> Notification:
        """Read a notification; raises :class:`csms.domain.messages.BadMessage`."""
        return decode_notification(message.body)

    async def begin(self) -> None:
        """Nothing to prepare: what this work does may be done twice."""

    async def commit(self, batch: Sequence[Notification]) -> Sequence[Outcome]:
        """Write the summaries of the sessions that have ended."""
        if not any(_tells_of_an_end(notification) for notification in batch):
            return [ACK] * len(batch)
        return await self._database.transact(lambda uow: _summarise(batch, uow), name="session summaries")


def _tells_of_an_end(notification: Notification) -> bool:
    return notification.type == NotificationType.CHARGING_STOPPED or (
        notification.type == NotificationType.CHARGING_UPDATED and "stoppedAt" in notification.data
    )


def _summarise(batch: Sequence[Notification], uow: UnitOfWork) -> Sequence[Outcome]:
    ends = {id_: one for one in batch if _tells_of_an_end(one) and (id_ := _session_id(one)) is not None}
    sessions = uow.sessions.fetch(ends)
    ended = [session for session in sessions.values() if session.state is not SessionState.ACTIVE]
    peaks = _peaks_w([session.id for session in ended], uow)
    for session in ended:
        uow.sessions.summarise(summarise(session, ends[session.id].device_id, peaks[session.id]))
    return [_outcome(one, sessions) for one in batch]


def _peaks_w(session_ids: Sequence[int], uow: UnitOfWork) -> dict[int, float | None]:
    powers = uow.sessions.measured(POWER, session_ids, limit=MAX_SAMPLES)
    peaks = {session_id: highest_power_w(measured) for session_id, measured in powers.items()}
    registers = uow.sessions.measured(
        REGISTER, (session_id for session_id, peak in peaks.items() if peak is None), limit=MAX_SAMPLES
    )
    return peaks | {session_id: highest_average_w(measured) for session_id, measured in registers.items()}


def _outcome(notification: Notification, sessions: Mapping[int, Session]) -> Outcome:
    if not _tells_of_an_end(notification) or _session_id(notification) in sessions:
        return ACK
    return DeadLetter(f"session {notification.data.get('sessionId')} does not exist")


def _session_id(notification: Notification) -> int | None:
    session_id = notification.data.get("sessionId")
    return session_id if isinstance(session_id, int) else None
