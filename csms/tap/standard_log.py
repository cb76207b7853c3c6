"""Where the log goes: where twistd's own would go, in our format."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from twisted.internet import reactor as _reactor
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import ILogObserver
from twisted.python.logfile import LogFile

from csms.config.settings import LogFormat, LogSettings
from csms.logs import LateObserver, observer


def log_observer(settings: LogSettings, twistd_options: Mapping[str, Any] | None) -> ILogObserver | None:
    """An observer in place of twistd's; None where that stays: with ``--syslog``, or when twistd does not run us."""
    if twistd_options is None or twistd_options.get("syslog"):
        return None
    # Noted now: when logging begins, standard output itself is made to write to the log.
    return LateObserver(partial(_open, settings, twistd_options, sys.stdout))


def _open(settings: LogSettings, twistd_options: Mapping[str, Any], stdout: Any) -> ILogObserver:
    name = twistd_options.get("logfile")
    out = stdout
    if not twistd_options.get("nodaemon") or name not in (None, "", "-"):
        out = LogFile.fromFullPath(name or "twistd.log")
        _rotate_on_signal(out)
    return observer(out, json_lines=settings.format is LogFormat.JSON, level=settings.level.value)


def _rotate_on_signal(file: Any) -> None:
    """SIGUSR1 begins a new file, as with twistd's own observer."""
    reactor = cast(IReactorFromThreads, _reactor)
    if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, lambda number, frame: reactor.callFromThread(file.rotate))
