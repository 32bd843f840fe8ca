"""Patience with the Hub: what goes wrong in passing is tried again, after waits that have an end.

huggingface_hub repeats some of its requests and others not, and waits as long as a server says. Here every request that
is cut, times out or is put off ends as `PassingError`, and `patiently` repeats the step it belongs to.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import httpx2
from huggingface_hub import set_client_factory
from huggingface_hub.errors import HfHubHTTPError

# The library exports the setter of the factory, and not the factory that it sets out with.
from huggingface_hub.utils._http import default_client_factory, hf_raise_for_status, parse_ratelimit_headers

T = TypeVar("T")
Wait = Callable[[float], None]

PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds to wait before each further try of a step, where the server asks for nothing else."""
LONGEST: Final = 300.0
"""Seconds that a server may ask to wait for; who asks for more is not waited for."""
TIMEOUT: Final = httpx2.Timeout(300.0, connect=30.0)
"""Seconds without a byte after which a connection counts as cut; a commit of many files takes the Hub a while."""

PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Answers after which the same request may go well."""
CUT: Final = (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError)


class PassingError(Exception):
    """A request that may go well another time; `after` are the seconds that the server asks to wait for."""

    def __init__(self, cause: httpx2.HTTPError | httpx2.Response) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.after = asked(cause) if isinstance(cause, httpx2.Response) else None

    def as_told(self) -> httpx2.HTTPError:
        """The error that the library would have raised."""
        if isinstance(self.cause, httpx2.HTTPError):
            return self.cause
        try:
            hf_raise_for_status(self.cause)
        except HfHubHTTPError as error:
            return error
        raise AssertionError(f"HTTP {self.cause.status_code} is no error")


def patiently(step: Callable[[], T], wait: Wait) -> T:
    """What `step` returns, which is called again while it is interrupted; then the error of the last try is raised."""
    for pause in (*PAUSES, None):
        try:
            return step()
        except (PassingError, RuntimeError) as error:
            found = _passing(error)
            if found is None:
                raise
            if pause is None or (found.after or 0) > LONGEST:
                raise found.as_told() from None
            seconds = pause if found.after is None else found.after
        wait(seconds)
    raise AssertionError("the last try returns or raises")


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Have the requests of huggingface_hub end as `PassingError` where they may go well another time."""
    hooks = default_client_factory().event_hooks
    set_client_factory(lambda: _Client(event_hooks=hooks, follow_redirects=True, timeout=TIMEOUT))
    try:
        yield
    finally:
        set_client_factory(default_client_factory)


class _Client(httpx2.Client):
    """Tells of interruptions at once, without the repetitions of the library."""

    met = False
    """Whether any server has answered; who never did may not be there at all, and is not called again."""

    def send(self, request: httpx2.Request, **how: Any) -> httpx2.Response:
        try:
            response = super().send(request, **how)
        except CUT as error:
            if isinstance(error, httpx2.ConnectError) and not self.met:
                raise _UnmetError(str(error)) from None
            raise PassingError(error) from None
        self.met = True
        if response.status_code in PASSING:
            response.read()
            raise PassingError(response)
        return response


class _UnmetError(httpx2.HTTPError):
    """No server answers, and none has before."""


def _passing(error: BaseException) -> PassingError | None:
    """The interruption at the bottom of an error that the library wrapped (`RuntimeError: Error while uploading …`)."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, PassingError):
        cause = cause.__cause__
    return cause


def asked(response: httpx2.Response) -> float | None:
    """The seconds a server asks to wait for: in `RateLimit` as the Hub has it, else in `Retry-After`."""
    limit = parse_ratelimit_headers(response.headers) if response.status_code == 429 else None
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    asked = response.headers.get("retry-after", "").strip()
    return float(asked) if asked.isascii() and asked.isdigit() else None
