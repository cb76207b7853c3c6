"""Variables of the device model, as commands read and set them (2.x B05, B06); reports are in ``provisioning``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from csms.domain.commands import CommandCall
from csms.domain.messages import NotificationType
from csms.domain.model import ReportedVariable
from csms.domain.payloads import evse_of, mapping, mappings, text
from csms.domain.provisioning import MAX_VALUE
from csms.domain.secrets import is_secret_name

_TAKEN = ("Accepted", "RebootRequired")


def variables_set(call: CommandCall) -> None:
    """SetVariables: each variable that the charger took has the value that was sent."""
    wanted = {_place(one): text(one, "attributeValue", MAX_VALUE) for one in mappings(call.request, "setVariableData")}
    taken = [
        one
        for one in mappings(call.response, "setVariableResult")
        if text(one, "attributeStatus", 40) in _TAKEN and _place(one) in wanted
    ]
    known = [_variable(call, one, wanted[_place(one)]) for one in taken]
    if known:
        call.uow.chargers.report(variable for variable in known if not _is_secret(variable))
        names = sorted({f"{variable.component}.{variable.variable}" for variable in known})
        call.tell(NotificationType.CONFIGURATION_CHANGED, keys=names, commandId=call.command.command_id)


def variables_read(call: CommandCall) -> None:
    """GetVariables: each variable has the value that the charger answered."""
    found = [
        _variable(call, one, text(one, "attributeValue", MAX_VALUE))
        for one in mappings(call.response, "getVariableResult")
        if text(one, "attributeStatus", 40) == "Accepted"
    ]
    call.uow.chargers.report(
        variable for variable in found if variable.component and variable.variable and not _is_secret(variable)
    )


def _place(one: Mapping[str, Any]) -> tuple[str | int, ...]:
    component, variable = mapping(one, "component"), mapping(one, "variable")
    return (
        text(component, "name", 50),
        text(component, "instance", 50),
        *evse_of(component),
        text(variable, "name", 50),
        text(variable, "instance", 50),
        text(one, "attributeType", 20) or "Actual",
    )


def _variable(call: CommandCall, one: Mapping[str, Any], value: str) -> ReportedVariable:
    component, variable = mapping(one, "component"), mapping(one, "variable")
    evse_id, connector_id = evse_of(component)
    return ReportedVariable(
        charger_id=call.charger.id,
        component=text(component, "name", 50),
        component_instance=text(component, "instance", 50),
        evse_id=evse_id,
        connector_id=connector_id,
        variable=text(variable, "name", 50),
        variable_instance=text(variable, "instance", 50),
        attribute=text(one, "attributeType", 20) or "Actual",
        value=value,
        reported_at=call.now,
    )


def _is_secret(variable: ReportedVariable) -> bool:
    """Never kept, whoever tells it."""
    return is_secret_name(variable.variable)
