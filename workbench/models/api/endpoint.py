"""Where a provider is and with which key: checked before anything is sent."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from workbench.config import ProviderConfig
from workbench.errors import ConfigError

_HOMES = {
    "openai": "https://api.openai.com/v1",
    "voyage": "https://api.voyageai.com/v1",
    "cohere": "https://api.cohere.com",
}
_OWN_HOSTS = {
    "openai": {"api.openai.com", "eu.api.openai.com", "us.api.openai.com"},
    "voyage": {"api.voyageai.com"},
    "cohere": {"api.cohere.com", "api.cohere.ai"},
}
_VARIABLES = {
    "openai": ("OPENAI_API_KEY",),
    "voyage": ("VOYAGE_API_KEY",),
    "cohere": ("COHERE_API_KEY", "CO_API_KEY"),
}
_KEY = re.compile(r"[\x21-\x7e]+")
_OTHERS = 0o077
_SHORTEST_SECRET = 6
NO_KEY = "no-key"
"""Sent to servers on this machine that ask for none."""


class Secret:
    """A key that shows itself to nobody who does not ask; it can not be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Keep ``value``."""
        self._value = value

    def reveal(self) -> str:
        """The key itself, for the one place that sends it."""
        return self._value

    def removed_from(self, text: str) -> str:
        """``text`` without the key, should somebody have echoed it."""
        if len(self._value) < _SHORTEST_SECRET:
            return text
        return text.replace(self._value, "***")

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> str:
        raise TypeError("a key is not sent to other processes")


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_url(provider: str, config: ProviderConfig) -> str:
    """The base URL to call, without a slash at its end.

    Raises:
        ConfigError: Its scheme or host is not allowed, or it holds a password or a query.
    """
    url = (config.base_url or _HOMES[provider]).rstrip("/")
    where = f"providers.{provider}.base_url"
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"{where} is not a URL ({error})") from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigError(
            f"{where} holds a user, a query or a fragment; expected scheme, host and path only. "
            "Keys come from a variable or a file (key_env, key_file)."
        )
    local = is_loopback(host)
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise ConfigError(
            f"{where} is {url!r}; expected https (http only on this machine): texts and the key "
            "would travel in the open."
        )
    allowed = _OWN_HOSTS[provider] | {name.lower() for name in config.hosts}
    if not local and host not in allowed:
        raise ConfigError(
            f"{where} points at host {host!r}; expected one of {', '.join(sorted(allowed))}. To "
            f"send texts and the key there, add the host to providers.{provider}.hosts."
        )
    return url


def key_of(provider: str, config: ProviderConfig, env: Mapping[str, str] | None = None) -> Secret:
    """The key of ``provider`` from its file or its variable.

    Raises:
        ConfigError: There is none, the file can be read by others, or it can not be a key. The
            message never holds the key.
    """
    env = os.environ if env is None else env
    if config.key_file is not None:
        return _checked(_read(config.key_file), str(config.key_file))
    names = (config.key_env,) if config.key_env else _VARIABLES[provider]
    for name in names:
        if env.get(name, "").strip():
            return _checked(env[name], f"variable {name}")
    if is_loopback((urlsplit(checked_url(provider, config)).hostname or "").lower()):
        return Secret(NO_KEY)
    raise ConfigError(
        f"provider {provider!r} needs a key: set the variable {names[0]}, or name a file of mode "
        f"0600 in providers.{provider}.key_file"
    )


def _read(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) or mode & _OTHERS:
            raise ConfigError(
                f"{path} is no file or others may read it (mode {stat.S_IMODE(mode):04o}); "
                f"expected mode 0600. Run `chmod 600 {path}`."
            )
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise ConfigError(f"cannot read the key in {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        return ""


def _checked(value: str, origin: str) -> Secret:
    key = value.strip()
    if not _KEY.fullmatch(key):
        raise ConfigError(f"{origin} holds no key: expected one word of printable ASCII characters")
    return Secret(key)
