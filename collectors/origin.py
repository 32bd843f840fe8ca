"""Where upstream keeps files, and which of several places are taken."""

from typing import Annotated

from pydantic import Field, model_validator

from collectors.nodes import Node


class Origin(Node):
    """A place upstream keeps the files: a Hub dataset or GitHub repository at a revision, or an address; paths in it.

    Paths in a repository may be globs, as `Path.glob` reads them. `into` is the folder below the source's that they go
    to, for places whose file names repeat. `converted` marks a copy that is no longer in upstream's own format, such as
    the ancestor's. `sha256` holds the hashes of files, where known, by their path in the source's folder.

    Origins in a row complement each other. One that is `instead`, or the first `converted` one after others, begins
    the next best choice: it and those after it are taken only when those before it cannot all be had.
    """

    hub: Annotated[str, Field(pattern=r"^[^/@\s]+/[^/@\s]+$")] | None = None
    github: Annotated[str, Field(pattern=r"^[^/@\s]+/[^/@\s]+$")] | None = None
    url: Annotated[str, Field(pattern=r"^https://\S+/$")] | None = None
    revision: str = "main"
    into: Annotated[str, Field(pattern=r"^[\w-][\w.-]*(/[\w-][\w.-]*)*$")] | None = None
    converted: bool = False
    instead: bool = False
    paths: Annotated[list[str], Field(min_length=1)]
    sha256: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = {}

    @model_validator(mode="after")
    def _one_place(self) -> "Origin":
        if [self.hub, self.github, self.url].count(None) != 2:
            raise ValueError("give one of hub, github and url")
        for path in self.paths:
            if path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"path {path}: give it from the top of the place, without ..")
            if self.url is not None and any(mark in path for mark in "*?["):
                raise ValueError(f"path {path}: only the Hub and GitHub can be asked for a pattern; name the files")
        return self

    def laid(self, path: str) -> str:
        """Where a path of the origin, or a pattern, lies in the source's folder."""
        return path if self.into is None else f"{self.into}/{path}"


def choices(origins: list[Origin]) -> list[list[Origin]]:
    """The origins by choice, the best first; those of one choice complement each other (see `Origin`)."""
    found: list[list[Origin]] = []
    for origin in origins:
        if not found or origin.instead or (origin.converted and not found[-1][-1].converted):
            found.append([])
        found[-1].append(origin)
    return found
