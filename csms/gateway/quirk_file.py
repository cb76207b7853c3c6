"""Profiles of odd chargers: those that come with csms, and the operator's own."""

from __future__ import annotations

from pathlib import Path

from csms.config.loading import ConfigError
from csms.ocpp.quirks import Quirks, QuirksError, parse, shipped


def load_quirks(path: str) -> Quirks:
    """All profiles; ``path`` is the operator's file, empty for none. Raises :class:`ConfigError`."""
    if not path:
        return Quirks(shipped())
    try:
        own = parse(Path(path).read_text(encoding="utf-8"), path)
    except OSError as error:
        raise ConfigError(f"[gateway] quirks_file: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"[gateway] quirks_file: {path} is not UTF-8") from error
    except QuirksError as error:
        raise ConfigError(f"[gateway] quirks_file: {error}") from error
    return Quirks((*shipped(), *own))
