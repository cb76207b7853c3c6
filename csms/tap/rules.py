"""What the settings mean for the workers, in the words of the domain."""

from __future__ import annotations

import dataclasses

from csms.config.settings import Settings, UnknownTokens
from csms.domain import topology
from csms.domain.handling import Policy
from csms.domain.retention import Retention


def policy(settings: Settings) -> Policy:
    """How handlers decide."""
    return Policy(
        accept_unknown_tokens=settings.worker.unknown_tokens is UnknownTokens.ACCEPT,
        signs_certificates=bool(settings.certificates.sign_command or settings.certificates.ca_directory),
        operator=settings.certificates.operator,
    )


def consumed_queues(settings: Settings, shards: int) -> list[str]:
    """The queues that the workers of this process consume."""
    queues = {
        "ocpp": topology.shard_queues(shards),
        "charging_events": (topology.CHARGING_EVENTS,),
        "notifications": (topology.NOTIFICATIONS,),
        "analytics": (topology.ANALYTICS,),
    }
    return [queue for kind in settings.worker.run.split() for queue in queues[kind]]


def retention(settings: Settings) -> Retention:
    """How long what grows is kept."""
    return Retention(**dataclasses.asdict(settings.retention))
