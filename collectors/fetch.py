"""fetch: upstream's own files, from the Hub or GitHub, to `data/raw/<source>/`, at the revisions the catalog names."""

import logging
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx2

from collectors.catalog import Origin, Source
from collectors.errors import ArtefactError, RemoteError

GITHUB: Final = "https://raw.githubusercontent.com"
TIMEOUT: Final = httpx2.Timeout(30.0)


def fetch(name: str, source: Source, folder: Path, *, github: str = GITHUB) -> list[Path]:
    """Bring every file of the source's origins to `folder`, under upstream's paths; one that is there is not fetched.

    The Hub is asked as huggingface_hub is told to (HF_ENDPOINT, HF_TOKEN). A file is put in place when it is whole.
    Raises `RemoteError` when a server is out of reach or does not have the file.
    """
    return [_fetched(name, origin, path, folder, github) for origin in source.origins for path in origin.paths]


def _fetched(name: str, origin: Origin, path: str, folder: Path, github: str) -> Path:
    target = folder / path
    if target.exists():
        return target
    place = f"{origin.hub or origin.github}@{origin.revision}/{path}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if origin.hub is not None:
            _from_hub(origin.hub, origin.revision, path, folder)
        else:
            _download(f"{github}/{origin.github}/{origin.revision}/{quote(path)}", target)
    except httpx2.HTTPStatusError as error:
        raise RemoteError(f"{name}: {place}: {_answer(error.response.status_code)}") from None
    except (httpx2.HTTPError, ConnectionError) as error:
        said = " ".join(str(error).split())
        raise RemoteError(
            f"{name}: {place}: out of reach ({said}); check the network, or give the files with --from DIR"
        ) from None
    except OSError as error:
        raise ArtefactError(f"{target}: cannot be written: {error.strerror or error}") from None
    return target


def _answer(status: int) -> str:
    what = {
        401: "needs a login: accept the data set's terms on the Hub and set HF_TOKEN",
        403: "is gated: accept the data set's terms on the Hub and set HF_TOKEN",
        404: "is not there; mend the origin in catalog.yaml, or give the files with --from DIR",
    }
    return what.get(status, "the server refuses; try again later") + f" (HTTP {status})"


def _from_hub(repository: str, revision: str, path: str, folder: Path) -> None:
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    # Its account of every try would stand around the one line that counts.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if not constants.HF_HUB_OFFLINE:
        # Without a network huggingface_hub would try for half a minute.
        httpx2.head(constants.ENDPOINT, timeout=TIMEOUT)
    try:
        hf_hub_download(repository, path, repo_type="dataset", revision=revision, local_dir=folder)
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        # What huggingface_hub says when it cannot ask the Hub and has no copy of the file either.
        raise ConnectionError(str(error.__cause__ or error).splitlines()[0]) from None
    except HfHubHTTPError as error:
        response = error.response
        raise httpx2.HTTPStatusError(str(error), request=response.request, response=response) from None


def _download(url: str, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    with httpx2.stream("GET", url, follow_redirects=True, timeout=TIMEOUT) as answer:
        answer.raise_for_status()
        with part.open("wb") as handle:
            for block in answer.iter_bytes(1 << 20):
                handle.write(block)
    part.replace(target)
