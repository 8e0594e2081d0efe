"""What can go wrong with one call, and what to do about it."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

from workbench.errors import ProviderError, WorkbenchError
from workbench.models.api.endpoint import Secret

SHOWN = 200
MAX_BACKOFF = 60.0
_QUOTA = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_INPUTS = ("input", "texts", "$.input")
_CONTENT = {400, 413, 422}
_AGAIN = {408, 409, 425, 429}
_CURES = {
    401: "The key is missing or wrong: check key_env or key_file of the provider.",
    402: "The account has no credit left.",
    403: "The key may not use this model, or not from here.",
    404: "The model or the path does not exist: check the model's name and base_url.",
}


class Cure(Enum):
    """What to do after a call failed."""

    AGAIN = "try again"
    SPLIT = "a text is refused: find it"
    STOP = "nothing will help"


class Fault(Exception):
    """One call that gave no usable vectors.

    Attributes:
        cure: What to do.
        retry_after: Seconds the server asks to wait; None = it does not say.
        tokens: What was charged: 0 for a refused call, None when that is not known.
        bad: Places (in the request) of vectors that may not be stored, where that is all.
        error: Raised when it is given up.
    """

    def __init__(
        self,
        reason: str,
        cure: Cure,
        *,
        retry_after: float | None = None,
        tokens: int | None = 0,
        bad: frozenset[int] = frozenset(),
        error: type[WorkbenchError] = ProviderError,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cure = cure
        self.retry_after = retry_after
        self.tokens = tokens
        self.bad = bad
        self.error = error


def fault_of(error: Exception, key: Secret) -> Fault:
    """What an exception of the openai package (or a timeout) means; the key is taken out."""
    import openai

    if isinstance(error, (TimeoutError, openai.APITimeoutError)):
        return Fault("no answer in time", Cure.AGAIN, tokens=None)
    if isinstance(error, openai.APIStatusError):
        return _status(error.status_code, error.response.headers, error.body, key)
    if isinstance(error, openai.APIConnectionError):
        cause = type(error.__cause__).__name__ if error.__cause__ else "no connection"
        return Fault(f"the connection failed ({cause})", Cure.AGAIN, tokens=None)
    raise error


def _status(status: int, headers: Mapping[str, str], body: object, key: Secret) -> Fault:
    facts = _facts(body)
    said = " ".join(key.removed_from(str(facts.get("message") or "")).split())[:SHOWN]
    reason = f"status {status}" + (f": {said}" if said else "")
    if status == 429 and _QUOTA & {str(facts.get("code")), str(facts.get("type"))}:  # noqa: PLR2004
        return Fault(f"{reason}. The account has no quota left.", Cure.STOP)
    if status in _AGAIN or status >= 500:  # noqa: PLR2004
        return Fault(reason, Cure.AGAIN, retry_after=retry_after(headers))
    if status in _CONTENT:
        about = str(facts.get("param") or "input")
        cure = Cure.SPLIT if about.startswith(_INPUTS) else Cure.STOP
        return Fault(reason, cure)
    if 300 <= status < 400:  # noqa: PLR2004
        return Fault(f"{reason}: it redirects, which is not followed. Check base_url.", Cure.STOP)
    return Fault(f"{reason.removesuffix('.')}. {_CURES.get(status, '')}".strip(), Cure.STOP)


def _facts(body: object) -> dict[str, Any]:
    """Message, code, type and param, wherever the provider puts them."""
    if not isinstance(body, dict):
        return {}
    inner = body.get("error", body)
    if isinstance(inner, str):
        return {"message": inner}
    if not isinstance(inner, dict):
        return {}
    return {**inner, "message": inner.get("message") or inner.get("detail") or ""}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds the server asks to wait; a date is counted from the server's own date."""
    try:
        if "retry-after-ms" in headers:
            return _sane(float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after", "")
        try:
            return _sane(float(value))
        except ValueError:
            now = parsedate_to_datetime(headers.get("date", ""))
            return _sane((parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _sane(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def delay(attempt: int, fault: Fault, backoff: float, rng: random.Random) -> float:
    """Seconds to wait after ``attempt`` (from 1) failed: full jitter over a doubling span.

    What the server asks for is waited for in full, with jitter on top so that callers spread.
    Source: M. Brooker, "Exponential Backoff and Jitter", 2015.
    """
    span = min(MAX_BACKOFF, backoff * 2 ** (attempt - 1))
    if fault.retry_after is not None:
        return fault.retry_after + rng.uniform(0, min(span, backoff))
    return rng.uniform(0, span)
