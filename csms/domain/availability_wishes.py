"""What ChangeAvailability asked for, and whether it has come to pass (1.6 section 5.2; 2.x G03, G04).

A charger may postpone the change until its transaction has ended (``Scheduled``); that it was made shows in the next
status of the connectors.
"""

from __future__ import annotations

from collections.abc import Iterable

from csms.domain.commands import CommandCall
from csms.domain.device_records import WantedAvailability, WishState
from csms.domain.handling import Call
from csms.domain.messages import NotificationType
from csms.domain.model import Connector
from csms.domain.payloads import MAX_EVSE_ID, bounded, evse_of, integer, text

UNAVAILABLE = "Unavailable"
_STATES = {"Accepted": WishState.ACCEPTED, "Scheduled": WishState.SCHEDULED}


def availability_answered_16(call: CommandCall) -> None:
    """ChangeAvailability of 1.6: it is wanted until statuses say that it is so; connector 0 is the whole charger."""
    connector_id = bounded(integer(call.request, "connectorId"), MAX_EVSE_ID)
    _answered(call, connector_id, connector_id, operative=text(call.request, "type", 40) == "Operative")


def availability_answered_2(call: CommandCall) -> None:
    """ChangeAvailability of 2.x: the station, an EVSE, or a connector of it."""
    evse_id, connector_id = evse_of(call.request)
    _answered(call, evse_id, connector_id, operative=text(call.request, "operationalStatus", 40) == "Operative")


def availability_connector_reported(call: Call, connector: Connector) -> None:
    """A connector has a new status: it may be what was wanted."""
    for wish in call.uow.devices.availability.of(call.charger.id):
        if wish.state is WishState.APPLIED or not _covers(wish, connector):
            continue
        others = call.uow.chargers.connectors([call.charger.id])
        if _is_fulfilled(wish, others):
            wish.state, wish.applied_at = WishState.APPLIED, call.received_at
            _tell(call, wish)


def _answered(call: CommandCall, evse_id: int, connector_id: int, *, operative: bool) -> None:
    state = _STATES.get(text(call.response, "status", 40))
    if state is None:
        return
    wishes = call.uow.devices.availability
    place = (evse_id, connector_id)
    for other in wishes.of(call.charger.id):
        # A wish for the whole replaces those for its parts.
        if (other.evse_id, other.connector_id) != place and _contains(place, (other.evse_id, other.connector_id)):
            wishes.remove(other)
    wish = next((one for one in wishes.of(call.charger.id) if (one.evse_id, one.connector_id) == place), None)
    if wish is None:
        wish = wishes.add(
            WantedAvailability(
                charger_id=call.charger.id,
                evse_id=evse_id,
                connector_id=connector_id,
                operative=operative,
                state=state,
                wanted_at=call.now,
            )
        )
    wish.operative, wish.state, wish.wanted_at, wish.applied_at = operative, state, call.now, None
    wish.command_id = call.command.command_id
    # A charger that is already as wanted accepts and reports no change; and a status may overtake the answer.
    if _is_fulfilled(wish, call.uow.chargers.connectors([call.charger.id])):
        wish.state, wish.applied_at = WishState.APPLIED, call.now
    _tell(call, wish)


def _is_fulfilled(wish: WantedAvailability, connectors: Iterable[Connector]) -> bool:
    """Whether the place itself, or all connectors that belong to it, have a status as wanted."""
    here = [one for one in connectors if one.status and _covers(wish, one)]
    itself = [one for one in here if (one.evse_id, one.connector_id) == (wish.evse_id, wish.connector_id)]
    parts = [one for one in here if one not in itself]
    return any(_is_as_wanted(wish, one) for one in itself) or (
        bool(parts) and all(_is_as_wanted(wish, one) for one in parts)
    )


def _is_as_wanted(wish: WantedAvailability, connector: Connector) -> bool:
    return (connector.status != UNAVAILABLE) is wish.operative


def _covers(wish: WantedAvailability, connector: Connector) -> bool:
    return _contains((wish.evse_id, wish.connector_id), (connector.evse_id, connector.connector_id))


def _contains(whole: tuple[int, int], part: tuple[int, int]) -> bool:
    evse_id, connector_id = whole
    return evse_id in (0, part[0]) and (evse_id == 0 or connector_id in (0, part[1]))


def _tell(call: Call | CommandCall, wish: WantedAvailability) -> None:
    call.tell(
        NotificationType.AVAILABILITY_CHANGED,
        evseId=wish.evse_id,
        connectorId=wish.connector_id,
        operative=wish.operative,
        state=wish.state.value,
        commandId=wish.command_id or None,
    )
