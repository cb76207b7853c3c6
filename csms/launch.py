"""The settings as a program finds them where it is started: its tap.conf, its environment, its working directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from csms.config.loading import CONFIG_VARIABLE, ConfigError, load
from csms.config.settings import Settings

CONFIG_FILE = "tap.conf"


def read_settings(options: Mapping[str, str], config: str | None = None) -> Settings:
    """The settings; ``options`` are those of the command line, ``config`` the file it names.

    Without ``config`` the file is the one that the environment names, or else tap.conf of the working directory, if
    there is one. A file that was named must exist. Raises :class:`csms.config.loading.ConfigError`.
    """
    named = config or os.environ.get(CONFIG_VARIABLE)
    path = Path(named or CONFIG_FILE).absolute()
    text: str | None = None
    if named or path.exists():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigError(f"cannot read {named or path}: {reason}") from error
    return load(
        options,
        os.environ,
        text,
        named or CONFIG_FILE,
        read_file=lambda name: Path(name).read_text(encoding="utf-8"),
        directory=str(Path.cwd()),
    )
