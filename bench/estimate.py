"""What a million chargers would take, by arithmetic from the figures that were measured on one machine.

Nobody has measured this. It says how many of each part there must be if a message and a connection cost what they cost
here, and so which part gives in first.
"""

from __future__ import annotations

from typing import Any

from bench.stand.report import Row, Table, text_of

CHARGERS = 1_000_000
HEARTBEAT_S = 300
CHARGING = 0.2
"""Share of the chargers that charge in the busiest hour."""
METER_S = 60
SESSIONS_A_DAY = 3
STATUS_A_SESSION = 6
BUSY = 3
"""How many times the day's mean is sent in the busiest hour, of what is not spread evenly."""
CONNECTIONS_A_GATEWAY = 15_000
FREE = 0.5
"""Share of a core that is to stay free in the busiest hour."""
REPLICAS = 3
_DAY_S = 86_400


def sections(figures: dict[str, Any]) -> list[str]:
    """The estimate as lines of reStructuredText; none, when what it needs was not measured."""
    if not {"mixed", "gateway", "worker", "idle"} <= figures.keys():
        return []
    mixed, heartbeat = _csms(figures["mixed"]), _csms(figures["gateway"], "heartbeat")
    idle = figures["idle"]["rows"][-1]
    title = "A million chargers, on paper"
    lines = [title, "-" * len(title), "", (__doc__ or "").strip(), "", ".. code-block:: text", ""]
    text = f"{text_of(_rates())}\n\n{text_of(_parts(mixed, heartbeat, _csms(figures['worker']), idle))}"
    return [*lines, *(f"    {line}".rstrip() for line in text.splitlines()), ""]


def rates() -> dict[str, float]:
    """Messages a second of all chargers in the busiest hour."""
    return {
        "heartbeats, answered from memory": CHARGERS / HEARTBEAT_S,
        "meter values": CHARGERS * CHARGING / METER_S,
        "starts and stops of sessions": CHARGERS * SESSIONS_A_DAY * 2 * BUSY / _DAY_S,
        "statuses": CHARGERS * SESSIONS_A_DAY * STATUS_A_SESSION * BUSY / _DAY_S,
    }


def _stored_per_s() -> float:
    return sum(list(rates().values())[1:])


def _rates() -> Table:
    why = (
        f"each charger every {HEARTBEAT_S} s",
        f"{CHARGING:.0%} of the chargers charge and send one every {METER_S} s",
        f"{SESSIONS_A_DAY} sessions a day, {BUSY} times the mean in the busiest hour",
        f"{STATUS_A_SESSION} a session, likewise",
    )
    lines = [[f"{rate:,.0f}", name, reason] for (name, rate), reason in zip(rates().items(), why, strict=True)]
    return [["messages/s", "in the busiest hour", "because"], *lines, [f"{_stored_per_s():,.0f}", "are stored", ""]]


def _parts(mixed: Row, heartbeat: Row, worker: Row, idle: Row) -> Table:
    stored = _stored_per_s()
    cpu = mixed["cpu_us_per_message"]
    memory_gb = CONNECTIONS_A_GATEWAY * idle["kb_per_charger"] / 1e6
    gateways = CHARGERS / CONNECTIONS_A_GATEWAY
    idle_cores = idle["cpu_share"]["gateway"] * CHARGERS / idle["chargers"]
    heartbeat_cores = rates()["heartbeats, answered from memory"] * heartbeat["cpu_us_per_message"]["gateway"] / 1e6
    gateway_cores = idle_cores + heartbeat_cores + stored * cpu["gateway"] / 1e6
    shards = stored / (worker["per_s"] * FREE)
    back_s = CONNECTIONS_A_GATEWAY * idle["again_s"] / idle["chargers"]
    return [
        ["part", "how many", "from what was measured"],
        [
            "gateways",
            f"{gateways:.0f} processes of {memory_gb * 1000:,.0f} MB",
            f"{CONNECTIONS_A_GATEWAY:,} connections each, {idle['kb_per_charger']} kB a connection",
        ],
        [
            "their cores",
            f"{gateway_cores / FREE:.1f}, half idle",
            f"{idle_cores:.1f} for pings, {heartbeat_cores:.1f} for heartbeats,"
            f" {stored:,.0f}/s x {cpu['gateway']:.0f} µs for the rest",
        ],
        [
            "shards, each with a worker's loop",
            f"{max(1.0, shards):.0f}",
            f"{stored:,.0f}/s, of which one worker empties {worker['per_s']:,.0f}/s; half of that is to stay free",
        ],
        [
            "cores of workers",
            f"{stored * cpu['worker'] / 1e6 / FREE:.1f}, half idle",
            f"{stored:,.0f}/s x {cpu['worker']:.0f} µs",
        ],
        [
            "cores of the broker",
            f"{stored * cpu['rabbitmq'] / 1e6 * REPLICAS / FREE:.1f}, half idle",
            f"{stored:,.0f}/s x {cpu['rabbitmq']:.0f} µs x {REPLICAS} replicas of each quorum queue",
        ],
        [
            "cores of the database",
            f"{stored * cpu['postgresql'] / 1e6 / FREE:.1f}, half idle",
            f"{stored:,.0f}/s x {cpu['postgresql']:.0f} µs",
        ],
        [
            "rows a day",
            f"{stored * (1 + _values(mixed)) * _DAY_S / BUSY / 1e6:,.0f} million",
            f"message log and {_values(mixed):.1f} meter values for each stored message, as in the mixed load",
        ],
        [
            "all back after an outage",
            f"{back_s:.0f} s",
            f"{idle['chargers']:,} came back in {idle['again_s']:.1f} s; each gateway has {CONNECTIONS_A_GATEWAY:,}",
        ],
    ]


def _values(mixed: Row) -> float:
    return float(mixed["values_per_s"]) / max(float(mixed["stored_per_s"]), 1.0)


def _csms(run: dict[str, Any], load: str = "") -> Row:
    """The first row of csms, of ``load`` if given."""
    rows: list[Row] = run["rows"]
    return next(row for row in rows if row["target"] == "csms" and load in ("", row.get("load")))
