"""Who may charge: decisions on id tokens, and the Authorize requests (1.6 section 4.1; 2.x block C).

A token is refused unless it is known, not blocked, not expired, and it and its group run on fewer sessions than they
may. 2.x names more reasons than 1.6 does; both get the status in their own spelling.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from csms.domain.handling import Call, Handled
from csms.domain.model import IdToken, Registration, Session, SessionState
from csms.domain.payloads import text
from csms.domain.repositories import UnitOfWork
from csms.domain.times import format_time
from csms.ocpp.versions import Version

MAX_TOKEN = 255
"""Characters of a token that are looked at: 2.1's limit, the widest of all versions."""
_MAX_TOKEN_TYPE = 20
_MAX_ID_TAG = 20
_MAX_TOKEN_201 = 36
_NO_AUTHORIZATION = "NoAuthorization"


class Status(StrEnum):
    """Authorization statuses that csms gives, as 2.x spells them; 1.6 has no Unknown."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    CONCURRENT_TX = "ConcurrentTx"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    UNKNOWN = "Unknown"


class Presented(msgspec.Struct, frozen=True):
    """A token as it was presented; ``type`` is empty in 1.6."""

    token: str
    type: str = ""


class Decision(msgspec.Struct, frozen=True):
    """Whether a token may charge, and our record of it. ``unknown``: we have none, though it would need one."""

    status: Status
    record: IdToken | None = None
    unknown: bool = False

    @property
    def group(self) -> str:
        return self.record.group if self.record is not None else ""

    def status_in(self, ocpp_version: str) -> str:
        """The status in the words of the version: in 1.6 an unknown identifier is Invalid."""
        if self.status is Status.UNKNOWN and ocpp_version == Version.V16:
            return Status.INVALID.value
        return self.status.value


def presented_16(payload: Mapping[str, Any]) -> Presented:
    """The token in a 1.6 payload; empty when there is none."""
    return Presented(text(payload, "idTag", MAX_TOKEN).strip())


def presented_2(payload: Mapping[str, Any]) -> Presented | None:
    """The token in a 2.x payload; None when there is none. A bare string, which breaks the schema, is read too."""
    value = payload.get("idToken")
    if value is None:
        return None
    if not isinstance(value, dict):
        return Presented(text(payload, "idToken", MAX_TOKEN).strip())
    return Presented(text(value, "idToken", MAX_TOKEN).strip(), text(value, "type", _MAX_TOKEN_TYPE))


def decide(call: Call, presented: Presented, *, at: datetime, session_id: int | None = None) -> Decision:
    """Whether the token may charge at the caller at the time ``at``.

    ``session_id`` asks for a session that is about to run on it (0: not yet written): only then others that run already
    count, because the same card must still be able to stop its session.
    """
    if call.charger.registration is not Registration.ACCEPTED:
        return Decision(Status.INVALID)
    if presented.type == _NO_AUTHORIZATION:
        return Decision(Status.ACCEPTED)
    record = call.uow.id_tokens.get(presented.token) if presented.token else None
    if record is None:
        return Decision(Status.ACCEPTED if call.policy.accept_unknown_tokens else Status.UNKNOWN, unknown=True)
    return Decision(_status(call.uow, record, presented, at, session_id), record)


def _status(uow: UnitOfWork, record: IdToken, presented: Presented, at: datetime, session_id: int | None) -> Status:
    if record.type and presented.type and record.type.casefold() != presented.type.casefold():
        # A PIN that reads like somebody's card is not that card.
        return Status.INVALID
    if record.blocked:
        return Status.BLOCKED
    if record.expires_at is not None and record.expires_at <= at:
        return Status.EXPIRED
    if session_id is not None and _too_many(uow, record, session_id):
        return Status.CONCURRENT_TX
    return Status.ACCEPTED


def _too_many(uow: UnitOfWork, record: IdToken, session_id: int) -> bool:
    """Whether the token, or its group, runs on as many sessions as it may, ``session_id`` left out."""
    limit = record.max_sessions
    if limit is not None and _running(uow.sessions.active_with_token(record.token), session_id) >= limit:
        return True
    group = uow.token_groups.get(record.group) if record.group else None
    limit = None if group is None else group.max_sessions
    return limit is not None and _running(uow.sessions.active_with_group(record.group), session_id) >= limit


def _running(sessions: Iterable[Session], but: int) -> int:
    # One that was refused does not run on the token, even while the charger keeps it open.
    return sum(
        session.id != but and session.state is SessionState.ACTIVE and session.authorization_status == Status.ACCEPTED
        for session in sessions
    )


def note_unknown(call: Call, presented: Presented, *, in_session: bool) -> None:
    """Keep a token that nobody knows for a person to look at; ``in_session``: a session began with it all the same."""
    if presented.token:
        call.uow.unknown_tokens.seen(
            call.charger.id, presented.token, type=presented.type, at=call.received_at, in_session=in_session
        )


def id_tag_info(status: str, record: IdToken | None) -> dict[str, Any]:
    """1.6 IdTagInfo."""
    info: dict[str, Any] = {"status": status}
    if record is not None and record.expires_at is not None:
        info["expiryDate"] = format_time(record.expires_at)
    if record is not None and 0 < len(record.group) <= _MAX_ID_TAG:
        info["parentIdTag"] = record.group
    return info


def id_token_info(status: str, record: IdToken | None) -> dict[str, Any]:
    """2.x IdTokenInfoType."""
    info: dict[str, Any] = {"status": status}
    if record is not None and record.expires_at is not None:
        info["cacheExpiryDateTime"] = format_time(record.expires_at)
    if record is not None and 0 < len(record.group) <= _MAX_TOKEN_201:
        info["groupIdToken"] = {"idToken": record.group, "type": "Central"}
    return info


def authorize_16(call: Call) -> Handled:
    """1.6 section 4.1."""
    decision = _asked(call, presented_16(call.payload))
    return call.done({"idTagInfo": id_tag_info(decision.status_in(call.message.ocpp_version), decision.record)})


def authorize_2(call: Call) -> Handled:
    """2.x C01, C02. Contract certificates (C07) are not verified yet, and what is not verified is not accepted."""
    decision = _asked(call, presented_2(call.payload) or Presented(""))
    if not any(name in call.payload for name in ("certificate", "iso15118CertificateHashData")):
        return call.done({"idTokenInfo": id_token_info(decision.status, decision.record)})
    status = Status.INVALID if decision.status is Status.ACCEPTED else decision.status
    return call.done({"idTokenInfo": id_token_info(status, decision.record), "certificateStatus": "CertChainError"})


def _asked(call: Call, presented: Presented) -> Decision:
    decision = decide(call, presented, at=call.received_at)
    if decision.unknown:
        note_unknown(call, presented, in_session=False)
    return decision
