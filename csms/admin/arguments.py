"""The tree of commands of ``csms-admin`` and what ``--help`` says about them."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from typing import Any

from csms.admin import (
    access,
    authority,
    backup,
    chargers,
    commands,
    dead_letters,
    groups,
    schema,
    token_files,
    tokens,
    users,
)
from csms.admin.output import Answer
from csms.admin.site import Site
from csms.config.descriptions import SettingDescription, describe
from csms.domain.people import Role
from csms.domain.token_csv import COLUMNS

Command = Callable[[Site, argparse.Namespace], Awaitable[Answer]]
_SECTIONS = ("certificates", "broker", "database", "http")

_ABOUT = """\
Looks after a csms installation: its chargers, the tokens that may charge, messages that could not be handled.

It reads the same settings as the services: run it where tap.conf is, or name the file with -c.
"""
_EXAMPLES = """\
examples:
  csms-admin charger add CP001              let a charger in; prints its password
  csms-admin token add 04A2B7C1 --note Ann  let a card charge
  csms-admin user add ann --role operator   let Ann sign in; reads her password from standard input
  csms-admin backup /backups/csms.db        copy the SQLite database while it is in use
  csms-admin dead-letter list               what could not be handled, and why
  csms-admin sign-in-link                   a link into the console

exit codes: 0 done, 1 not done, 2 wrong arguments or settings, 3 database or broker not reachable
"""


def parser() -> argparse.ArgumentParser:
    """Parses to a namespace with ``command`` and the settings given as options, by their long names."""
    root = _Parser(prog="csms-admin", description=_ABOUT, epilog=_EXAMPLES)
    _add_common(root, config=None, json=False)
    _add_settings(root)
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True)

    about = "bring the database's tables up to date (services do it at start)"
    migrate = _command(commands, "migrate", schema.migrate, about)
    migrate.add_argument("--check", action="store_true", help="only say what is missing; exit code 1 when something is")
    take = _command(
        commands,
        "backup",
        backup.backup,
        "copy the SQLite database to a file, while csms works",
        "PostgreSQL has tools of its own: see the documentation about backups.",
    )
    take.add_argument("file", metavar="FILE", help="a new file")
    restored = _command(
        commands,
        "after-restore",
        backup.after_restore,
        "make a database that was restored from a backup fit to go on",
        "Once, before anything is started: what was given out since the backup is never given out again, and commands "
        "that were open then are unknown.",
    )
    restored.add_argument(
        "--skip", type=_positive, default=1_000_000, metavar="N", help="how many ids are left out (default: 1000000)"
    )
    about = "make the broker's exchanges and queues (services do it at start)"
    _command(commands, "declare", schema.declare, about)
    _command(commands, "sign-in-link", access.sign_in_link, "a new one-time link into the console")
    _add_charger_commands(_noun(commands, "charger", "charging stations that may connect"))
    _add_ocpp_commands(_noun(commands, "command", "OCPP requests to chargers"))
    _add_token_commands(_noun(commands, "token", "cards and accounts that may charge"))
    _add_group_commands(_noun(commands, "group", "groups of tokens, and how many sessions they may have at once"))
    _add_user_commands(_noun(commands, "user", "people who sign in with name and password"))
    _add_authority_commands(_noun(commands, "ca", "the built-in certificate authority and what it has signed"))
    _add_dead_letter_commands(_noun(commands, "dead-letter", "messages that could not be handled"))
    return root


def setting_options(arguments: argparse.Namespace) -> dict[str, str]:
    """The settings that were given as options."""
    given = {setting.option: getattr(arguments, _attribute(setting)) for setting in _settings()}
    return {option: value for option, value in given.items() if value is not None}


class _Parser(argparse.ArgumentParser):
    """Keeps the line breaks of descriptions, and takes no abbreviated options: they could change their meaning."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **keywords)


def _noun(commands: Any, name: str, about: str) -> Any:
    noun = commands.add_parser(name, help=about, description=about.capitalize() + ".")
    return noun.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _command(commands: Any, name: str, command: Command, about: str, more: str = "") -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=about, description=f"{about[0].upper()}{about[1:]}.", epilog=more
    )
    _add_common(parser, config=argparse.SUPPRESS, json=argparse.SUPPRESS)
    parser.set_defaults(command=command)
    return parser


def _add_common(parser: argparse.ArgumentParser, *, config: str | None, json: str | bool) -> None:
    """Options that may stand before the command and behind it."""
    file = "file with settings (default: tap.conf, if there is one)"
    parser.add_argument("-c", "--config", metavar="FILE", default=config, help=file)
    parser.add_argument("--json", action="store_true", default=json, help="answer in JSON, for scripts")


def _add_charger_commands(commands: Any) -> None:
    password = "file that holds the password (- is standard input); without it a random one is made and printed"
    add = _command(
        commands,
        "add",
        chargers.add,
        "let a charger in",
        "The charger then connects to ws://<gateway>/ocpp/<deviceId> with deviceId and password (HTTP Basic).",
    )
    add.add_argument("device_id", metavar="deviceId", help="the identity that stands at the end of the charger's URL")
    add.add_argument("--password-file", metavar="FILE", help=password)
    add.add_argument("--no-password", action="store_true", help="none (security profile 0): for closed networks only")
    _command(commands, "list", chargers.list_all, "all chargers")
    remove = _command(commands, "remove", chargers.remove, "let a charger in no more; its sessions stay")
    remove.add_argument("device_id", metavar="deviceId")
    change = _command(
        commands,
        "set-password",
        chargers.set_password,
        "give a charger another password",
        "Gateways may take the old one for another half minute.",
    )
    change.add_argument("device_id", metavar="deviceId")
    change.add_argument("--password-file", metavar="FILE", help=password)
    bind = _command(
        commands,
        "bind",
        chargers.bind,
        "say which serial number a charger's certificate must name (security profile 3)",
        "Check it against the device: whoever has a certificate for this serial number comes in as this charger.",
    )
    bind.add_argument("device_id", metavar="deviceId")
    bind.add_argument("serial", nargs="?", metavar="SERIAL", help="default: the one that the charger has reported")
    unbind = _command(commands, "unbind", chargers.unbind, "let no certificate open for a charger any more")
    unbind.add_argument("device_id", metavar="deviceId")
    allow = _command(
        commands,
        "allow-profile",
        chargers.allow_profile,
        "let a charger connect with a lower security profile than it has had",
        "It is bound again to the highest that it then connects with.",
    )
    allow.add_argument("device_id", metavar="deviceId")
    allow.add_argument("profile", type=int, choices=(0, 1, 2, 3), help="the lowest that is allowed")


def _add_ocpp_commands(nouns: Any) -> None:
    send = _command(
        nouns,
        "send",
        commands.send,
        "send an OCPP request to a charger, and wait for its answer",
        'For example: csms-admin command send CP001 Reset \'{"type": "Soft"}\'',
    )
    send.add_argument("device_id", metavar="deviceId")
    send.add_argument("action", help="as in OCPP, e.g. Reset")
    send.add_argument("payload", nargs="?", default="{}", help="the request's payload in JSON (default: {})")
    send.add_argument(
        "--timeout", type=_positive, default=30, metavar="S", help="seconds that the charger may take (default: 30)"
    )
    send.add_argument("--queue", type=_positive, metavar="S", help="keep it so long for a charger that is away")
    listing = _command(nouns, "list", commands.list_all, "the newest commands")
    listing.add_argument("device_id", nargs="?", metavar="deviceId", help="only those of this charger")
    listing.add_argument("--limit", type=_positive, default=20, metavar="N", help="at most so many (default: 20)")
    _command(nouns, "show", commands.show, "one command with the charger's answer").add_argument("id")


def _add_token_commands(commands: Any) -> None:
    add = _command(commands, "add", tokens.add, "let a token charge")
    add.add_argument("token", help="the id that chargers send, e.g. a card's UID")
    add.add_argument("--type", default="", help="kind of token as in OCPP 2.x, e.g. ISO14443")
    add.add_argument("--expires", metavar="TIME", help="until when it may charge, e.g. 2030-12-31T18:00:00Z")
    add.add_argument("--group", default="", help="tokens of a group may stop each other's sessions")
    add.add_argument("--max-sessions", type=_positive, metavar="N", help="how many sessions at once (default: any)")
    add.add_argument("--note", default="", help="for people, e.g. whose it is")
    _command(commands, "list", tokens.list_all, "all tokens")
    for name, command, about in (
        ("block", tokens.block, "let a token charge no more"),
        ("unblock", tokens.unblock, "let a blocked token charge again"),
    ):
        _command(commands, name, command, about).add_argument("token")
    take = _command(
        commands,
        "import",
        token_files.import_all,
        "take tokens from a CSV file, all of them or none",
        f"Columns, named in the first line: {', '.join(COLUMNS)}. Tokens that are there already are replaced.",
    )
    take.add_argument("file", metavar="FILE", help="UTF-8; - is standard input")
    take.add_argument("--dry-run", action="store_true", help="only look whether the file can be taken")
    write = _command(commands, "export", token_files.export_all, "all tokens as CSV")
    write.add_argument("--out", metavar="FILE", help="where to write them (default: print them)")


def _add_group_commands(commands: Any) -> None:
    most = "how many sessions all tokens of the group may have at once"
    add = _command(commands, "add", groups.add, "make a group known", "Tokens name it: `csms-admin token add --group`.")
    add.add_argument("name")
    add.add_argument("--max-sessions", type=_positive, metavar="N", help=f"{most} (default: any)")
    add.add_argument("--note", default="", help="for people")
    _command(commands, "list", groups.list_all, "all groups that were added")
    change = _command(commands, "set-limit", groups.set_limit, "change a group's limit")
    change.add_argument("name")
    change.add_argument("limit", type=groups.limit, metavar="N", help=f"{most}, or none")
    _command(commands, "remove", groups.remove, "forget a group's limit; its tokens stay").add_argument("name")


def _add_user_commands(commands: Any) -> None:
    password = "file that holds the password (default: standard input)"
    roles = "viewer: may look; operator: may run the chargers; admin: may do everything"
    add = _command(commands, "add", users.add, "let somebody sign in")
    add.add_argument("name")
    add.add_argument("--role", choices=[*Role], default=Role.VIEWER.value, help=f"{roles} (default: viewer)")
    add.add_argument("--password-file", metavar="FILE", default="-", help=password)
    _command(commands, "list", users.list_all, "all users")
    change = _command(commands, "set-password", users.set_password, "give a user another password")
    change.add_argument("name")
    change.add_argument("--password-file", metavar="FILE", default="-", help=password)
    role = _command(commands, "set-role", users.set_role, "give a user another role")
    role.add_argument("name")
    role.add_argument("role", choices=[*Role], help=roles)
    _command(commands, "remove", users.remove, "let a user in no more").add_argument("name")


def _add_authority_commands(commands: Any) -> None:
    init = _command(
        commands,
        "init",
        authority.init,
        "make the authority, in [certificates] ca_directory",
        "Workers sign with it what chargers ask for; gateways trust its ca.pem when client_ca_file names it.",
    )
    init.add_argument("--rsa", action="store_true", help="an RSA key instead of an EC key")
    _command(commands, "show", authority.show, "who the authority is, and its certificate")
    _command(commands, "list", authority.list_all, "certificates that were signed for chargers, newest first")
    sign = _command(
        commands, "sign", authority.sign, "sign a charger's request by hand, after the checks of SignCertificate"
    )
    sign.add_argument("csr", metavar="FILE", help="the request (PEM; - is standard input)")
    sign.add_argument("device_id", metavar="deviceId", help="the charger, whose serial number is bound")
    sign.add_argument("--days", type=_positive, metavar="N", help="how long it is valid (default: the setting)")
    sign.add_argument("--out", metavar="FILE", help="where to write the certificate (default: print it)")
    revoke = _command(commands, "revoke", authority.revoke, "let a certificate open no more")
    revoke.add_argument("serial", metavar="SERIAL", help="the certificate's serial number, as in `ca list`")
    revoke.add_argument("--reason", default="", metavar="TEXT", help="for people, e.g. stolen")
    crl = _command(commands, "crl", authority.revocation_list, "the revocation list, for others than csms")
    crl.add_argument("--days", type=_positive, default=7, metavar="N", help="when the next one is due (default: 7)")
    crl.add_argument("--out", metavar="FILE", help="where to write the list (default: print it)")
    server = _command(commands, "server", authority.server, "make a certificate and a key for a gateway")
    server.add_argument("names", nargs="+", metavar="NAME", help="host names or addresses that chargers connect to")
    server.add_argument("--out", required=True, metavar="PREFIX", help="writes PREFIX.pem and PREFIX.key")
    server.add_argument("--rsa", action="store_true", help="an RSA key instead of an EC key")
    server.add_argument("--days", type=_positive, metavar="N", help="how long it is valid (default: the setting)")


def _add_dead_letter_commands(commands: Any) -> None:
    listing = _command(commands, "list", dead_letters.list_all, "the oldest dead letters")
    listing.add_argument("--limit", type=_positive, default=100, metavar="N", help="at most so many (default: 100)")
    _command(commands, "show", dead_letters.show, "one dead letter with its body").add_argument("id")
    for name, command, about in (
        ("replay", dead_letters.replay, "send dead letters back to where they died, once the cause is mended"),
        ("drop", dead_letters.drop, "forget dead letters for good"),
    ):
        choice = _command(commands, name, command, about)
        choice.add_argument("ids", nargs="*", metavar="id")
        choice.add_argument("--all", action="store_true", help="all of them")


def _add_settings(root: argparse.ArgumentParser) -> None:
    group = root.add_argument_group("settings", "The same as in tap.conf and in the environment.")
    for setting in _settings():
        group.add_argument(
            f"--{setting.option}",
            dest=_attribute(setting),
            metavar="FILE" if setting.secret else "VALUE",
            help=argparse.SUPPRESS if setting.section == "http" else setting.help.replace("%", "%%"),
        )


def _settings() -> list[SettingDescription]:
    return [setting for setting in describe() if setting.section in _SECTIONS]


def _attribute(setting: SettingDescription) -> str:
    return f"setting_{setting.section}_{setting.key}"


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number
