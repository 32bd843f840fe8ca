"""The Hub as this program speaks to it: with whose token, by which kind of upload, and how its refusals are told."""

import contextlib
import logging
import re
import sys
from collections.abc import Iterator
from typing import Final

import httpx2
from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import logging as hub_logging
from huggingface_hub.utils.tqdm import disable_progress_bars

from collectors.errors import RemoteError
from pipeline.patience import asked

ANSWERS: Final = {
    401: "the token is not accepted; log in with `hf auth login`, or set HF_TOKEN to a valid token",
    403: "this token may not write there; use one with write access to {owner}, or a repository of your own",
    404: "there is no such repository, or this token may not see it",
    409: "the repository changed meanwhile; push again",
    412: "the repository changed meanwhile; push again",
    429: "too many requests; wait {while_} and push again",
}


def user_token(given: str | None) -> str:
    """The token to speak to the Hub with: the one given, else the user's; never to be shown."""
    token = given or get_token()
    if not token:
        raise RemoteError("not logged in to the Hub: run `hf auth login`, or set HF_TOKEN to a token with write access")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise RemoteError("the Hub token holds characters no token has; set HF_TOKEN to the token alone")
    return token


@contextlib.contextmanager
def plain_uploads() -> Iterator[None]:
    """Have huggingface_hub upload by LFS, without Xet, draw no bars but on a terminal, and keep its log to itself.

    The library reads HF_HUB_DISABLE_XET when it is imported, which may be long before; the constant is what it asks.
    Its warnings name upload URLs, which are signed and so are secrets.
    """
    xet, verbosity = constants.HF_HUB_DISABLE_XET, hub_logging.get_verbosity()
    constants.HF_HUB_DISABLE_XET = True
    hub_logging.set_verbosity(logging.ERROR)
    bars = contextlib.nullcontext() if sys.stderr.isatty() else disable_progress_bars()
    try:
        with bars:
            yield
    finally:
        constants.HF_HUB_DISABLE_XET = xet
        hub_logging.set_verbosity(verbosity)


@contextlib.contextmanager
def told(api: HfApi, repo: str, owner: str) -> Iterator[None]:
    """Tell what goes wrong between here and the Hub as one `RemoteError`, from which the token is struck."""
    who = f"{repo} on {api.endpoint}"
    try:
        yield
    except (httpx2.HTTPError, httpx2.InvalidURL, OfflineModeIsEnabled, RuntimeError, ValueError, KeyError) as error:
        cause = _cause(error)
        if isinstance(cause, HfHubHTTPError):
            status = cause.response.status_code
            default = "the server fails; push again later" if status >= 500 else "the server refuses"
            seconds = asked(cause.response)
            while_ = f"{seconds:,.0f} s" if seconds else "a while"
            what = f"{ANSWERS.get(status, default).format(owner=owner, while_=while_)} (HTTP {status}"
            what += f": {cause.server_message})" if cause.server_message else ")"
        elif isinstance(cause, OfflineModeIsEnabled):
            what = "HF_HUB_OFFLINE is set; unset it to push"
        elif isinstance(cause, httpx2.HTTPError | httpx2.InvalidURL):
            what = f"out of reach ({cause}); check the connection and HF_ENDPOINT, then push again"
        elif isinstance(cause, RuntimeError):
            raise
        else:
            what = f"the server answers what the Hub would not ({cause}); check HF_ENDPOINT"
        raise RemoteError(_clean(f"{who}: {what}", str(api.token))) from None


def _cause(error: BaseException) -> BaseException:
    """The HTTP error at the bottom of one the library wrapped (`RuntimeError: Error while uploading …`), if any."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, httpx2.HTTPError):
            return cause
        cause = cause.__cause__
    return error


def _clean(text: str, token: str) -> str:
    """The text as one line of bounded length, without the token or anything that looks like one."""
    line = " ".join(text.replace(token, "***").split())
    line = re.sub(r"\bhf_\w{8,}", "***", line)
    return line if len(line) <= 500 else line[:499] + "…"
