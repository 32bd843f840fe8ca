"""fetch: upstream's own files, from the Hub, GitHub or an address, to `data/raw/<source>/`, each once."""

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from collectors.download import Downloads, Wanted, differs, digest, room
from collectors.errors import ArtefactError, RemoteError
from collectors.fetched import Fetchable, File, Job
from collectors.origin import Origin
from collectors.progress import Bars
from collectors.upstream import GITHUB, Listing, Upstream, listing, place

AT_ONCE: Final = 4
"""Files that are under way at a time."""
BEAT: Final = 0.2
"""Seconds within which an interrupt is seen."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def fetch(
    sources: Mapping[str, Fetchable],
    raw: Path,
    *,
    offline: bool = False,
    say: Callable[[str], None] = print,
    net: Downloads | None = None,
    github: str = GITHUB,
) -> None:
    """Bring every file of the sources' origins to `raw/<source>/`, under upstream's paths (and the origin's `into`).

    What is there and noted in `.fetched.json` is not asked for again: a second run needs no network. Where a choice of
    origins cannot be had the next is taken, with a line that says so. The Hub is asked as huggingface_hub is told to
    (HF_ENDPOINT, HF_TOKEN, its cache). `offline`, or HF_HUB_OFFLINE, leaves it at what is there and says what is not.

    Raises `RemoteError` for a source whose last choice fails, when all that can be had is there, and `ArtefactError`
    when the disk is too full or cannot be written.
    """
    jobs = [job for name, source in sources.items() if not (job := Job(name, source, raw / name)).settled()]
    if offline or (jobs and _hub_offline()):
        for job in jobs:
            say(job.absent())
    elif jobs:
        with net or Downloads() as client, Bars(say) as bars:
            _Run(client, bars, github).bring(jobs)


def _hub_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.is_offline_mode())


@dataclass(frozen=True, slots=True)
class _Task:
    """One file of a job that may have to be brought."""

    job: Job
    origin: Origin
    upstream: Upstream

    @property
    def path(self) -> str:
        """Where the file lies in the source's folder."""
        return self.origin.laid(self.upstream.path)

    @property
    def wanted(self) -> Wanted:
        """The file as a download; its piece lies in a hidden folder, so no glob of the catalog claims it."""
        return Wanted(
            label=f"{self.job.name}: {place(self.origin).rstrip('/')}/{self.upstream.path}",
            url=self.upstream.url,
            target=self.job.folder / self.path,
            part=self.job.parts / f"{self.path}.part",
            headers=self.upstream.headers,
            size=self.upstream.size,
            sha256=self.upstream.sha256,
            blob=self.upstream.blob,
            gated=self.origin.hub is not None,
        )

    @property
    def there(self) -> int:
        """Bytes that an earlier run has brought."""
        part = self.wanted.part
        return part.stat().st_size if part.exists() else 0

    @property
    def missing(self) -> int:
        """Bytes that are still to come, as far as that is known."""
        return max(0, (self.upstream.size or 0) - self.there)

    def keep(self, size: int, sha256: str, etag: str | None = None, *, given: bool = False) -> None:
        """Note that the file is in place."""
        file = File(size=size, sha256=sha256, etag=etag, given=given)
        self.job.keep(self.origin, {self.path: file})


@dataclass(frozen=True, slots=True)
class _Run:
    """What the jobs share: the client, the progress shown, and where GitHub is."""

    net: Downloads
    bars: Bars
    github: str

    def bring(self, jobs: list[Job]) -> None:
        """All files of all jobs: a round for the best choice of each, one for the next best of those that failed."""
        failed: list[Job] = []
        while jobs:
            self._round(jobs)
            failed += [job for job in jobs if job.error and job.last]
            jobs = [job for job in jobs if job.error and not job.last]
            for job in jobs:
                self.bars.say(f"{job.error}")
                job.turn()
                self.bars.say(f"{job.name}: fetching {', '.join(map(place, job.origins))} instead")
        if failed:
            more = f" (and {len(failed) - 1:,} more sources that could not be had)" if len(failed) > 1 else ""
            raise RemoteError(f"{failed[0].error}{more}")

    def _round(self, jobs: list[Job]) -> None:
        try:
            tasks = [task for found in self._each(self._tasks, jobs) for task in found]
            absent = [task for task, there in zip(tasks, self._each(self._is_there, tasks), strict=True) if not there]
            size = sum(task.missing for task in absent)
            for folder in {task.job.folder.parent for task in absent}:
                room(folder, size, f"fetch: {len(absent):,} files")
            self.bars.expect(len(absent), size)
            self._each(self._bring, absent)
        finally:
            for job in jobs:
                job.save()
        for job in jobs:
            if job.error is None:
                job.finish()

    def _tasks(self, job: Job) -> list[_Task]:
        """The files of a job's present choice; none when they cannot all be listed."""
        if not job.origins:
            job.fail(RemoteError(f"{job.name}: the catalog names no origin; give the files with --from DIR"))
        found: list[tuple[Origin, Listing]] = []
        for origin in job.origins:
            if not job.there(origin):
                try:
                    found.append((origin, listing(job.name, origin, self.net, self.github)))
                except RemoteError as error:
                    job.fail(error)
        if job.error and not job.last:
            return []
        for origin, one in found:
            job.begin(origin, one.commit, [origin.laid(file.path) for file in one.files])
        return [_Task(job, origin, file) for origin, one in found for file in one.files]

    def _is_there(self, task: _Task) -> bool:
        """Whether a file is in place as upstream has it; one that another hand has put there is noted."""
        wanted, path = task.wanted, task.path
        if not wanted.target.is_file():
            return False
        size, noted = wanted.target.stat().st_size, task.job.noted(path)
        proven = wanted.sha256 is not None or wanted.blob is not None
        if noted is not None and noted.size == size and task.job.has(task.origin, path):
            return True
        if proven and differs(wanted, wanted.target) is None:
            task.keep(size, digest(wanted.target, "sha256"))
            return True
        if noted is not None:
            return False
        if proven:
            raise ArtefactError(
                f"{wanted.target}: is there already, but is not {place(task.origin)}'s file; "
                "move it away, or give your own files with --from DIR"
            )
        self.bars.say(f"{task.job.name}: {path} is there already and taken as it is")
        task.keep(size, digest(wanted.target, "sha256"), given=True)
        return True

    def _bring(self, task: _Task) -> None:
        job, wanted = task.job, task.wanted
        if job.error and not job.last:
            return
        try:
            if task.upstream.cached is not None and not wanted.part.exists():
                wanted.part.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(task.upstream.cached, wanted.part)
            with self.bars.file(f"{job.name}: {task.path}", wanted.size, task.there) as moved:
                got = self.net.download(wanted, moved)
        except RemoteError as error:
            job.fail(error)
        except OSError as error:
            raise ArtefactError(f"{wanted.target}: cannot be written: {error.strerror or error}") from None
        else:
            task.keep(got.size, got.sha256, got.etag)

    def _each(self, action: Callable[[Item], Result], items: list[Item]) -> list[Result]:
        """What `action` gives for each item, a few at a time; what goes wrong, or an interrupt, stops them all."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            futures = [pool.submit(action, item) for item in items]
            try:
                pending = set(futures)
                while pending:
                    # In turns: polars has signals go on with a wait that has no end, so an interrupt would not be seen.
                    done, pending = wait(pending, timeout=BEAT, return_when=FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                return [future.result() for future in futures]
            except BaseException:
                self.net.stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
