"""The remote encoders of a session: one for each space, made when first needed."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from workbench.config import ProviderConfig, ProvidersConfig
from workbench.models.api.encoder import RemoteEncoder
from workbench.models.api.wire import WIRES
from workbench.spec import EmbeddingSpec


class Providers:
    """Makes encoders and ends them all with ``close``.

    Args:
        config: How each provider is reached.
        env: Where keys are looked up; None = the environment.
    """

    def __init__(self, config: ProvidersConfig, env: Mapping[str, str] | None = None) -> None:
        self._config = config
        self._env = env
        self._lock = threading.Lock()
        self._made: dict[str, RemoteEncoder] = {}

    def settings(self, spec: EmbeddingSpec) -> ProviderConfig:
        """How the provider of ``spec`` is reached."""
        found: ProviderConfig = getattr(self._config, spec.provider)
        return found

    def max_inputs(self, spec: EmbeddingSpec) -> int:
        """Texts that one call carries at most; needs no key."""
        most = WIRES[spec.provider].max_inputs
        return min(self.settings(spec).max_inputs or most, most)

    def encoder(self, spec: EmbeddingSpec) -> RemoteEncoder:
        """The encoder of a remote ``spec``.

        Raises:
            ConfigError: The address is not allowed, or there is no usable key.
        """
        with self._lock:
            if spec.fingerprint not in self._made:
                self._made[spec.fingerprint] = RemoteEncoder(
                    spec, self.settings(spec), env=self._env
                )
            return self._made[spec.fingerprint]

    def close(self) -> None:
        """End the calls and threads of all encoders."""
        with self._lock:
            made, self._made = list(self._made.values()), {}
        for encoder in made:
            encoder.close()
