"""Every metric of csms, once, in one registry; the only module that imports prometheus_client.

Labels come from fixed sets (actions of the schemas, outcomes, queues), never from what a charger or browser sent:
a label with free text would grow without bound.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

REGISTRY = CollectorRegistry()
CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 8, 15, 30)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)

# --- gateway --------------------------------------------------------------------------------------------------------

CONNECTIONS = Gauge(
    "csms_charger_connections", "Chargers connected to this process.", ["ocpp_version"], registry=REGISTRY
)
HANDSHAKES = Counter(
    "csms_charger_handshakes", "Handshakes of chargers, by HTTP status.", ["status"], registry=REGISTRY
)
SECURITY_ALARMS = Counter(
    "csms_security_alarms",
    "What looks like an attack on a charger's identity, by kind of security event.",
    ["event"],
    registry=REGISTRY,
)
MESSAGES = Counter(
    "csms_messages",
    "CALLs of chargers, by action and what became of them: answered, refused, replayed, silent, passed_on, lost.",
    ["action", "outcome"],
    registry=REGISTRY,
)
BAD_FRAMES = Counter(
    "csms_bad_frames", "Frames of chargers that are no OCPP-J message, by reason.", ["reason"], registry=REGISTRY
)
ANSWER_SECONDS = Histogram(
    "csms_answer_seconds",
    "From a CALL's arrival to its answer, by who answers.",
    ["answered_by"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
CLOSED = Counter("csms_charger_closes", "Connections of chargers closed, by code.", ["code"], registry=REGISTRY)
TAKEOVERS = Counter(
    "csms_takeovers",
    "Connections that a newer one of the same charger displaced, by kind: displaced; flapping, if very young.",
    ["kind"],
    registry=REGISTRY,
)
REPLIES_DROPPED = Counter(
    "csms_replies_dropped",
    "Workers' decisions that nobody waited for, by reason: late, other_connection, unreadable.",
    ["reason"],
    registry=REGISTRY,
)
ANSWER_FAULTS = Counter(
    "csms_answer_faults", "Answers of ours that broke their schema: each is a bug.", registry=REGISTRY
)

COMMANDS = Counter(
    "csms_commands",
    "Commands to chargers, by action and what became of them at the gateway; dropped: not to be sent any more.",
    ["action", "outcome"],
    registry=REGISTRY,
)

# --- browsers -------------------------------------------------------------------------------------------------------

BROWSERS = Gauge("csms_browsers", "Browser WebSockets open in this process.", registry=REGISTRY)
BROWSERS_LAGGED = Counter(
    "csms_browsers_lagged", "Times a browser read too slowly and was resumed later.", registry=REGISTRY
)
BROWSER_BAD_FRAMES = Counter("csms_browser_bad_frames", "Frames of browsers that were no request.", registry=REGISTRY)
EVENTS_UNREADABLE = Counter(
    "csms_events_unreadable",
    "Messages for browsers that were no notification, when first looked at.",
    registry=REGISTRY,
)
HTTP_CUT = Counter(
    "csms_http_connections_cut",
    "HTTP connections ended by us, by reason: slow (no whole request in time), displaced, too_many, too_long.",
    ["reason"],
    registry=REGISTRY,
)

# --- broker ---------------------------------------------------------------------------------------------------------

CONFIRM_SECONDS = Histogram(
    "csms_confirm_seconds", "From a publish to the broker's confirm.", buckets=_SECONDS, registry=REGISTRY
)
PUBLISHES = Counter(
    "csms_publishes", "Publishes, by outcome: confirmed, timeout, unroutable.", ["outcome"], registry=REGISTRY
)
QUEUE_DEPTH = Gauge("csms_queue_depth", "Messages waiting in a queue of the broker.", ["queue"], registry=REGISTRY)

# --- workers --------------------------------------------------------------------------------------------------------

BATCH_SIZE = Histogram(
    "csms_batch_size", "Messages in one batch of a worker.", ["queue"], buckets=_SIZES, registry=REGISTRY
)
BATCH_SECONDS = Histogram(
    "csms_batch_seconds",
    "From a batch's first message to its commit.",
    ["queue"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
SHARD_LAG_SECONDS = Gauge(
    "csms_shard_lag_seconds",
    "Age of the oldest message in the last batch of a shard when it was committed.",
    ["queue"],
    registry=REGISTRY,
)
DELIVERIES = Counter(
    "csms_deliveries",
    "Deliveries to workers, by outcome: done, repeated, dead_lettered.",
    ["queue", "outcome"],
    registry=REGISTRY,
)
BATCH_RETRIES = Counter(
    "csms_batch_retries", "Tries of a batch that failed, by reason.", ["queue", "reason"], registry=REGISTRY
)
HANDLED = Counter(
    "csms_handled_messages",
    "Messages of chargers in the OCPP worker, by action and what became of them: done, repeated, refused.",
    ["action", "outcome"],
    registry=REGISTRY,
)
OUTBOX_UNCONFIRMED = Gauge(
    "csms_outbox_unconfirmed", "Notifications of this process that the broker has yet to confirm.", registry=REGISTRY
)
OUTBOX_LEFT_BEHIND = Counter(
    "csms_outbox_left_behind", "Notifications published later, from the outbox, by a sweep.", registry=REGISTRY
)
WEBHOOKS = Counter("csms_webhooks", "Webhook posts, by target and outcome.", ["webhook", "outcome"], registry=REGISTRY)

# --- database -------------------------------------------------------------------------------------------------------

TRANSACTION_SECONDS = Histogram(
    "csms_transaction_seconds",
    "Database transactions, retries included, by name.",
    ["name"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
TRANSACTION_RETRIES = Counter(
    "csms_transaction_retries", "Transactions that were tried again.", ["name"], registry=REGISTRY
)


def render() -> bytes:
    """All metrics in Prometheus' text format; its content type is ``CONTENT_TYPE``."""
    return generate_latest(REGISTRY)
