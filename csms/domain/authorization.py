"""Who may charge: decisions on id tokens, and the Authorize requests (1.6 section 4.1; 2.x block C).

A token is refused unless it is known, not blocked, not expired, and runs on fewer sessions than it may. 2.x names
more reasons than 1.6 does; both get the status in their own spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from csms.domain.handling import Call, Handled
from csms.domain.model import IdToken, Registration, SessionState
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


@dataclass(frozen=True, slots=True)
class Presented:
    """A token as it was presented; ``type`` is empty in 1.6."""

    token: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
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
    if session_id is not None and record.max_sessions is not None:
        others = [
            session
            for session in uow.sessions.active_with_token(record.token)
            if session.id != session_id
            and session.state is SessionState.ACTIVE
            # One that was refused does not run on the token, even while the charger keeps it open.
            and session.authorization_status == Status.ACCEPTED
        ]
        if len(others) >= record.max_sessions:
            return Status.CONCURRENT_TX
    return Status.ACCEPTED


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
    decision = decide(call, presented_16(call.payload), at=call.received_at)
    return call.done({"idTagInfo": id_tag_info(decision.status_in(call.message.ocpp_version), decision.record)})


def authorize_2(call: Call) -> Handled:
    """2.x C01, C02. Contract certificates (C07) are not verified yet, and what is not verified is not accepted."""
    presented = presented_2(call.payload) or Presented("")
    decision = decide(call, presented, at=call.received_at)
    if not any(name in call.payload for name in ("certificate", "iso15118CertificateHashData")):
        return call.done({"idTokenInfo": id_token_info(decision.status, decision.record)})
    status = Status.INVALID if decision.status is Status.ACCEPTED else decision.status
    return call.done({"idTokenInfo": id_token_info(status, decision.record), "certificateStatus": "CertChainError"})
