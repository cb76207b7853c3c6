"""What a charger may send before its boot notification was accepted (2.x B01.FR.10, B02.FR.09, B03.FR.07).

1.6 forbids such CALLs too (section 4.2) but names no answer, and chargers that boot slowly are common: they
are let through.
"""

from __future__ import annotations

import enum
from typing import Any

from csms.ocpp.versions import Version


class Registration(enum.StrEnum):
    """The status in the last BootNotification answer. A charger that has never had one counts as accepted:

    2.x chargers reconnect without booting again.
    """

    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


_TRIGGERED_ACTIONS = {
    "SignChargingStationCertificate": "SignCertificate",
    "SignV2GCertificate": "SignCertificate",
    "SignV2G20Certificate": "SignCertificate",
    "SignCombinedCertificate": "SignCertificate",
}


def asked_for(action: str, payload: dict[str, Any]) -> str | None:
    """The action that a charger may send, even while pending, because we sent this CALL; None: no further one."""
    if action in ("GetBaseReport", "GetReport"):
        return "NotifyReport"
    if action == "TriggerMessage":
        wanted = payload.get("requestedMessage")
        return _TRIGGERED_ACTIONS.get(wanted, wanted) if isinstance(wanted, str) else None
    return None


def may_send(version: Version, registration: Registration, action: str, asked: set[str]) -> bool:
    """Whether a charger may send ``action`` now; ``asked`` holds the actions that we asked it for."""
    if registration is Registration.ACCEPTED or version.is_16 or action == "BootNotification":
        return True
    return registration is Registration.PENDING and action in asked
