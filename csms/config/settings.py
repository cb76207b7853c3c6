"""Every setting of csms, once.

A field ``f`` of section ``s`` is ``f`` under ``[s]`` in tap.conf, ``CSMS_S_F`` in the environment and ``--s-f`` on the
command line. A field ``x`` marked ``secret`` can also be given as ``x_file``, the path of a file that holds the value;
on the command line only so, because every process of the machine can read command lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MAX_PORT = 65535


def setting(
    default: Any,
    help_text: str,
    *,
    secret: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
    words: tuple[str, ...] = (),
    schemes: tuple[str, ...] = (),
    path: bool = False,
    networks: bool = False,
    origins: bool = False,
) -> Any:
    """A dataclass field with what a person should know about it, and what ``loading`` checks.

    ``words``: the value is a list, separated by blanks, of some of these. ``schemes``: it is a URL that begins with
    one of these. ``path``: it names a file; a relative one is taken from where the program was started.
    ``networks``: it is a list of addresses and networks, separated by blanks; ``origins``: one of web origins.
    """
    return field(
        default=default,
        metadata={
            "help": help_text,
            "secret": secret,
            "minimum": minimum,
            "maximum": maximum,
            "words": words,
            "schemes": schemes,
            "path": path,
            "networks": networks,
            "origins": origins,
        },
    )


class UnknownChargers(StrEnum):
    """What happens to a charger whose identity is not in the database."""

    REJECT = "reject"
    PENDING = "pending"
    ACCEPT = "accept"


class UnknownTokens(StrEnum):
    """What is answered for an id token that is not in the database."""

    REJECT = "reject"
    ACCEPT = "accept"


class MissingSubprotocol(StrEnum):
    """What happens to a charger that offers no WebSocket subprotocol."""

    REFUSE = "refuse"
    OCPP16 = "ocpp1.6"


class AmqpClient(StrEnum):
    """The library that speaks AMQP."""

    PIKA = "pika"
    TXAMQP = "txamqp"


class LogLevel(StrEnum):
    """The least important lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a line of the log looks."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """[gateway]: where chargers connect."""

    name: str = setting("", "name of this gateway, unique among all; empty: host name and port")
    listen: str = setting("127.0.0.1", "address to listen on for chargers")
    port: int = setting(
        9000, "port to listen on for chargers (ws://host:port/ocpp/<deviceId>)", minimum=0, maximum=MAX_PORT
    )
    plaintext: bool = setting(True, "listen on port, without TLS; no: only on tls_port and mtls_port")
    tls_port: int = setting(
        0, "port for security profile 2: TLS and a password (wss://); 0: none", minimum=0, maximum=MAX_PORT
    )
    mtls_port: int = setting(
        0, "port for security profile 3: TLS and a client certificate (wss://); 0: none", minimum=0, maximum=MAX_PORT
    )
    tls_certificate_file: str = setting(
        "", "server certificate and its chain (PEM); read again when it changes", path=True
    )
    tls_key_file: str = setting("", "private key of tls_certificate_file (PEM, not encrypted)", path=True)
    tls_second_certificate_file: str = setting(
        "",
        "a second server certificate with the other kind of key (RSA beside EC), for chargers that need it",
        path=True,
    )
    tls_second_key_file: str = setting("", "private key of tls_second_certificate_file", path=True)
    client_ca_file: str = setting(
        "", "certificate authorities of chargers' certificates (PEM), needed for mtls_port", path=True
    )
    crl_file: str = setting(
        "", "revocation lists of all these authorities (PEM); empty: certificates are not looked up in lists", path=True
    )
    trusted_proxies: str = setting(
        "",
        "proxies, addresses or networks separated by blanks, whose X-Forwarded-For tells where a charger comes from",
        networks=True,
    )
    unknown_chargers: UnknownChargers = setting(
        UnknownChargers.REJECT, "chargers that are not in the database: reject, pending or accept"
    )
    require_password: bool = setting(
        True, "refuse chargers without HTTP Basic credentials (security profile 1); no: also profile 0"
    )
    missing_subprotocol: MissingSubprotocol = setting(
        MissingSubprotocol.REFUSE, "chargers that offer no subprotocol: refuse, or take as ocpp1.6"
    )
    quirks_file: str = setting(
        "", "profiles of odd chargers (TOML) beside those that come with csms; empty: none", path=True
    )
    heartbeat_interval_s: int = setting(300, "interval told to chargers in BootNotification's answer", minimum=1)
    publish_deadline_s: float = setting(8.0, "how long a message may wait for the broker's confirm", minimum=0.1)
    answer_deadline_s: float = setting(8.0, "how long a charger may wait for a worker's decision", minimum=0.1)
    drain_s: float = setting(
        30.0,
        "how long a stop may take to send the chargers away, little by little, to other gateways; 0: all at once",
        minimum=0,
    )
    ping_interval_s: float = setting(30.0, "WebSocket ping to silent chargers; 0: none", minimum=0)
    ping_timeout_s: float = setting(20.0, "a charger that does not answer a ping for this long is gone", minimum=1)
    handshake_timeout_s: float = setting(10.0, "a connection that is not open by then is cut", minimum=1)
    max_connections: int = setting(20000, "connections at once; more are refused with 503", minimum=1)
    max_handshakes: int = setting(2000, "connections at once, of each port, that are not open yet", minimum=1)
    max_message_bytes: int = setting(
        1048576, "largest message of a charger; a larger one closes with 1009", minimum=1024
    )
    max_queued_calls: int = setting(64, "CALLs of one charger that wait before its socket is read no more", minimum=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSettings:
    """[certificates]: certificates of chargers (security profile 3)."""

    operator: str = setting("", "organisation (O) that chargers' certificates must name; needed for mtls_port")
    ca_directory: str = setting(
        "", "where `csms-admin ca init` keeps the built-in authority; with it, chargers' requests are signed", path=True
    )
    sign_command: str = setting(
        "", "program that signs instead: request (PEM) on standard input, certificate and chain on standard output"
    )
    sign_timeout_s: float = setting(60.0, "how long sign_command may take", minimum=1)
    days: int = setting(365, "how long a certificate that the built-in authority signs is valid", minimum=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """[http]: console, browser events, REST, health and metrics."""

    listen: str = setting("127.0.0.1", "address to listen on for browsers and integrations")
    port: int = setting(
        8080, "port of the console, /events, /api/v1, /health and /metrics", minimum=0, maximum=MAX_PORT
    )
    public_url: str = setting(
        "", "URL that people use, if not http://listen:port (behind a proxy)", schemes=("https://", "http://")
    )
    trusted_proxies: str = setting(
        "",
        "proxies, addresses or networks separated by blanks, whose X-Forwarded-For tells where a request comes from",
        networks=True,
    )
    allowed_origins: str = setting(
        "", "further origins, separated by blanks, whose pages may open /events and change anything", origins=True
    )
    session_hours: float = setting(12.0, "how long a sign-in lasts", minimum=0.1)
    sign_in_link_minutes: float = setting(60.0, "how long a sign-in link can be used", minimum=1)
    metrics_need_sign_in: bool = setting(True, "refuse /metrics to whoever is not signed in, unless from loopback")
    max_browsers: int = setting(1000, "browser WebSockets at once", minimum=1)
    browser_buffer_bytes: int = setting(
        262144, "what may wait for a slow browser before it is resumed later", minimum=1024
    )
    events_kept: int = setting(10000, "notifications kept in memory for browsers that reconnect", minimum=1000)


WORKERS = ("ocpp", "charging_events", "notifications", "analytics")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """[worker]: who decides and writes."""

    name: str = setting("", "name of this worker, for logs; empty: host name and process id")
    run: str = setting(" ".join(WORKERS), "the workers of this process, separated by blanks", words=WORKERS)
    batch_size: int = setting(500, "messages in one database transaction, at most", minimum=1)
    prefetch: int = setting(1000, "messages that the broker hands out before the first is acked", minimum=1)
    retry_max_s: float = setting(
        5.0, "longest pause between two tries of a batch while the database is away", minimum=0.1
    )
    poison_attempts: int = setting(3, "tries of a message that fails by itself, before it is dead-lettered", minimum=1)
    unknown_tokens: UnknownTokens = setting(
        UnknownTokens.REJECT, "id tokens that are not in the database: reject or accept"
    )
    http_port: int = setting(
        0, "port on loopback for /health and /metrics of a worker process; 0: none", minimum=0, maximum=MAX_PORT
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """[retention]: how many days things are kept; 0: for ever."""

    meter_values_days: int = setting(400, "meter values", minimum=0)
    message_log_days: int = setting(400, "every message of the chargers, as it came", minimum=0)
    records_days: int = setting(
        400,
        "commands, transaction events, unknown tokens, deviations; ended reservations, jobs, certificate requests",
        minimum=0,
    )
    audit_days: int = setting(1100, "who changed what through the console, REST and csms-admin", minimum=0)
    security_events_days: int = setting(1100, "security events of chargers and of the gateways", minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """[broker]: what carries the messages."""

    url: str = setting(
        "memory:",
        "memory: (in this process), amqp://user@host,host/vhost (all nodes of a cluster) or amqps://...",
        schemes=("memory:", "amqp://", "amqps://"),
    )
    password: str = setting("", "the broker's password, if not in the URL", secret=True)
    amqp_client: AmqpClient = setting(AmqpClient.PIKA, "library for amqp://: pika or txamqp")
    shards: int = setting(4, "queues that charger messages are spread over; fixed at the first start", minimum=1)
    declare: bool = setting(
        True, "make exchanges and queues at each start; no: `csms-admin declare` has, and this user may not"
    )
    heartbeat_s: int = setting(10, "AMQP heartbeat", minimum=1)
    ca_file: str = setting("", "certificate authority of the broker's TLS certificate; empty: the system's", path=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """[database]: where everything is stored."""

    url: str = setting(
        "sqlite:///var/csms.db",
        "sqlite:///path or postgresql://user@host/name",
        schemes=("sqlite:///", "postgresql://"),
        path=True,
    )
    password: str = setting("", "the database's password, if not in the URL", secret=True)
    pool_size: int = setting(6, "PostgreSQL connections of this process, at most", minimum=1)
    statement_timeout_s: float = setting(30.0, "a statement that takes longer is given up", minimum=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """[log]: what is written about it all."""

    format: LogFormat = setting(LogFormat.TEXT, "text, or json: one object a line")
    level: LogLevel = setting(LogLevel.INFO, "debug, info, warn or error")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """[simulator]: virtual chargers."""

    url: str = setting(
        "ws://127.0.0.1:9000/ocpp", "where the chargers connect; /<deviceId> is added", schemes=("ws://", "wss://")
    )
    chargers: int = setting(10, "how many", minimum=1)
    versions: str = setting(
        "ocpp1.6 ocpp2.0.1",
        "subprotocols, separated by blanks, given out in turn",
        words=("ocpp1.6", "ocpp2.0.1", "ocpp2.1"),
    )
    prefix: str = setting("SIM-", "deviceIds are this and a number")
    password: str = setting("", "HTTP Basic password of every simulated charger", secret=True)
    ca_file: str = setting("", "authority of the gateway's certificate (wss://); empty: the system's", path=True)
    certificate_file: str = setting(
        "", "client certificate (wss://, security profile 3); {deviceId} in the path is replaced", path=True
    )
    key_file: str = setting("", "private key of certificate_file; {deviceId} in the path is replaced", path=True)
    connectors: int = setting(2, "connectors of each charger", minimum=1)
    speed: float = setting(1.0, "how much faster than life: 60 makes an hour's session take a minute", minimum=0.01)
    meter_interval_s: float = setting(10.0, "between two meter values of a session, in real seconds", minimum=0.05)
    seed: int = setting(0, "makes every run alike; 0: each run differs", minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """[webhook <name>]: a URL that is told of notifications; as many sections as targets."""

    name: str = ""
    url: str = setting("", "where notifications are posted as JSON", schemes=("https://", "http://"))
    secret: str = setting("", "key of the HMAC-SHA256 signature", secret=True)
    types: str = setting("", "notification types, separated by blanks, e.g. charging.started; empty: all")
    attempts: int = setting(8, "tries before the notification is dead-lettered", minimum=1)
    timeout_s: float = setting(10.0, "how long one try may take", minimum=0.1)
    allow_private: bool = setting(False, "allow loopback and private addresses")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All sections."""

    gateway: GatewaySettings = GatewaySettings()
    certificates: CertificateSettings = CertificateSettings()
    http: HttpSettings = HttpSettings()
    worker: WorkerSettings = WorkerSettings()
    retention: RetentionSettings = RetentionSettings()
    broker: BrokerSettings = BrokerSettings()
    database: DatabaseSettings = DatabaseSettings()
    log: LogSettings = LogSettings()
    simulator: SimulatorSettings = SimulatorSettings()
    webhooks: tuple[WebhookSettings, ...] = ()
