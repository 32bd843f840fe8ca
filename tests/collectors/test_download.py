"""One download: gone on from where it was cut, tried again as the server asks, and never put in place wrong."""

import hashlib
import shutil
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Clock, Fault, Served, serving

from collectors.download import PATIENCE, TRIES, Downloads, Stopped, Wanted
from collectors.errors import ArtefactError, RemoteError

DATA = bytes(range(256)) * 40
SHA256 = hashlib.sha256(DATA).hexdigest()
BLOB = hashlib.sha1(b"blob %d\0" % len(DATA) + DATA).hexdigest()


class Bench(NamedTuple):
    """A server that holds DATA as /rows, a client without patience, its clock, and a folder."""

    served: Served
    net: Downloads
    clock: Clock
    folder: Path

    def wanted(self, **known: Any) -> Wanted:
        target, part = self.folder / "rows", self.folder / ".part" / "rows.part"
        return Wanted(label="s: place/rows", url=f"{self.served.url}/rows", target=target, part=part, **known)

    def fault(self, *faults: Fault) -> None:
        self.served.faults["/rows"] = list(faults)

    def left(self, data: bytes, etag: str | None = None) -> None:
        """What a run that was killed leaves behind."""
        (self.folder / ".part").mkdir(exist_ok=True)
        (self.folder / ".part" / "rows.part").write_bytes(data)
        if etag:
            (self.folder / ".part" / "rows.part.etag").write_text(etag, encoding="utf-8")

    def names(self) -> list[str]:
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    clock = Clock()
    (tmp_path / "d").mkdir()
    with serving() as served, Downloads(clock.sleep, clock.now) as net:
        served.files["/rows"] = DATA
        yield Bench(served, net, clock, tmp_path / "d")


ETAG = f'"{len(DATA)}-{sum(DATA)}"'


def test_a_file_arrives_once_and_leaves_no_piece(bench: Bench) -> None:
    moved: list[int] = []
    got = bench.net.download(bench.wanted(size=len(DATA), sha256=SHA256), moved.append)
    assert (got.size, got.sha256, got.etag) == (len(DATA), SHA256, ETAG)
    assert (bench.folder / "rows").read_bytes() == DATA
    assert bench.names() == ["rows"]
    assert moved[-1] == len(DATA)
    assert bench.clock.pauses == []


def test_a_cut_connection_is_gone_on_from(bench: Bench) -> None:
    bench.fault(Fault(cut=4000), Fault(cut=3000))
    got = bench.net.download(bench.wanted())
    assert got.sha256 == SHA256
    assert bench.served.ranges_asked() == [None, "bytes=4000-", "bytes=7000-"]
    assert [headers.get("if-range") for _, headers in bench.served.asked] == [None, ETAG, ETAG]
    assert bench.clock.pauses == [1, 1]


def test_a_server_that_brings_no_new_byte_is_given_up(bench: Bench) -> None:
    bench.served.ranges = False
    bench.fault(*[Fault(cut=4000)] * 20)
    with pytest.raises(RemoteError, match=r"^s: place/rows: out of reach \(.*\); check the network, or .*--from DIR$"):
        bench.net.download(bench.wanted())
    assert len(bench.served.asked) == TRIES
    assert bench.clock.pauses == [1, 2, 4, 8][: TRIES - 1]
    assert not (bench.folder / "rows").exists()


def test_a_slow_line_may_be_cut_any_number_of_times(bench: Bench) -> None:
    bench.fault(*[Fault(cut=500)] * 20)
    assert bench.net.download(bench.wanted()).sha256 == SHA256
    assert set(bench.clock.pauses) == {1}


def test_a_run_that_was_killed_is_gone_on_from(bench: Bench) -> None:
    bench.left(DATA[:6000], ETAG)
    assert bench.net.download(bench.wanted()).sha256 == SHA256
    assert bench.served.ranges_asked() == ["bytes=6000-"]


def test_a_piece_of_a_file_that_has_changed_is_begun_anew(bench: Bench) -> None:
    bench.left(b"old" * 500, '"old"')
    assert bench.net.download(bench.wanted()).sha256 == SHA256
    assert bench.served.ranges_asked() == ["bytes=1500-"]
    assert (bench.folder / "rows").read_bytes() == DATA


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_a_piece_that_nothing_proves_is_begun_anew(bench: Bench, etag: str | None) -> None:
    bench.left(b"old" * 500, etag)
    assert bench.net.download(bench.wanted()).sha256 == SHA256
    assert bench.served.ranges_asked() == [None]


@pytest.mark.parametrize("known", [{"sha256": SHA256}, {"blob": BLOB}])
def test_a_known_hash_proves_a_piece(bench: Bench, known: dict[str, str]) -> None:
    bench.left(DATA[:6000])
    assert bench.net.download(bench.wanted(**known)).sha256 == SHA256
    bench.left(b"old" * 500)
    assert bench.net.download(bench.wanted(**known)).sha256 == SHA256
    # The second piece was gone on from, found to be wrong, and begun anew.
    assert bench.served.ranges_asked() == ["bytes=6000-", "bytes=1500-", None]


def test_a_server_without_ranges_starts_anew(bench: Bench) -> None:
    bench.served.ranges = False
    bench.left(DATA[:6000], ETAG)
    assert bench.net.download(bench.wanted(size=len(DATA))).sha256 == SHA256
    assert len(bench.served.asked) == 1


def test_a_piece_that_was_whole_already(bench: Bench) -> None:
    bench.left(DATA, ETAG)
    assert bench.net.download(bench.wanted()).etag == ETAG  # the server says that nothing is missing
    bench.left(DATA)
    assert bench.net.download(bench.wanted(size=len(DATA), sha256=SHA256)).sha256 == SHA256  # not even asked
    assert bench.served.ranges_asked() == [f"bytes={len(DATA)}-"]


def test_a_piece_that_is_longer_than_the_file(bench: Bench) -> None:
    bench.left(DATA + b"more", ETAG)
    assert bench.net.download(bench.wanted()).sha256 == SHA256
    assert bench.served.ranges_asked() == [f"bytes={len(DATA) + 4}-", None]


def test_another_range_than_the_one_asked_for(bench: Bench) -> None:
    bench.left(DATA[:6000], ETAG)
    bench.fault(Fault(status=206, headers={"Content-Range": "bytes 0-4/5", "ETag": ETAG}))
    assert bench.net.download(bench.wanted()).sha256 == SHA256


WRONG = [
    ({"sha256": "0" * 64}, f"has the sha256 {SHA256} instead of {'0' * 64}"),
    ({"blob": "0" * 40}, f"has the git id {BLOB} instead of {'0' * 40}"),
    ({"size": 10}, "has 10,240 bytes instead of 10"),
]


@pytest.mark.parametrize(("known", "said"), WRONG)
def test_a_wrong_file_is_refused(bench: Bench, known: dict[str, Any], said: str) -> None:
    (bench.folder / "rows").write_bytes(b"mine")
    with pytest.raises(RemoteError) as caught:
        bench.net.download(bench.wanted(**known))
    assert str(caught.value) == f"s: place/rows: {said}; it is not kept, try again later"
    assert (bench.folder / "rows").read_bytes() == b"mine"
    assert bench.names() == ["rows"]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again_after_a_while(bench: Bench, status: int) -> None:
    bench.fault(Fault(status=status), Fault(status=status))
    assert bench.net.download(bench.wanted()).sha256 == SHA256
    assert bench.clock.pauses == [1, 2]


@pytest.mark.parametrize(
    ("asked", "pause"), [("7", 7), (formatdate(1_000_030, usegmt=True), 30), ("soon", 1), ("-1", 1), ("0", None)]
)
def test_retry_after_is_honoured(bench: Bench, asked: str, pause: float | None) -> None:
    bench.fault(Fault(status=429, headers={"Retry-After": asked}))
    assert bench.net.download(bench.wanted()).sha256 == SHA256
    assert bench.clock.pauses == ([] if pause is None else [pause])


@pytest.mark.parametrize("status", [429, 500])
def test_a_server_that_stays_busy_is_given_up(bench: Bench, status: int) -> None:
    bench.fault(*[Fault(status=status)] * 20)
    with pytest.raises(RemoteError, match=rf"^s: place/rows: the server refuses; try again later \(HTTP {status}\)$"):
        bench.net.download(bench.wanted())
    assert len(bench.served.asked) == TRIES
    assert bench.names() == []


def test_nobody_waits_longer_than_a_minute(bench: Bench) -> None:
    bench.fault(Fault(status=429, headers={"Retry-After": str(int(PATIENCE) + 1)}))
    with pytest.raises(RemoteError, match=r"HTTP 429"):
        bench.net.download(bench.wanted())
    assert bench.clock.pauses == []


@pytest.mark.parametrize("status", [401, 403, 404, 410, 451])
def test_a_refusal_is_not_asked_again(bench: Bench, status: int) -> None:
    bench.fault(Fault(status=status))
    with pytest.raises(RemoteError, match=rf"\(HTTP {status}\)$"):
        bench.net.download(bench.wanted())
    assert len(bench.served.asked) == 1


def test_a_redirect_loop_is_one_error(bench: Bench) -> None:
    bench.served.faults = {
        "/rows": [Fault(status=302, headers={"Location": "/other"})] * 99,
        "/other": [Fault(status=302, headers={"Location": "/rows"})] * 99,
    }
    with pytest.raises(RemoteError, match=r"^s: place/rows: is redirected in a circle; mend the origin"):
        bench.net.download(bench.wanted())
    assert bench.clock.pauses == []


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/rows", "http://", "x:"])
def test_a_redirect_to_nowhere_is_one_error(bench: Bench, location: str) -> None:
    bench.fault(Fault(status=302, headers={"Location": location}))
    with pytest.raises(RemoteError, match=r"^s: place/rows: .+") as caught:
        bench.net.download(bench.wanted())
    assert "\n" not in str(caught.value)


def test_the_token_is_sent_to_no_other_host(bench: Bench) -> None:
    with serving() as other:
        other.files["/signed"] = DATA
        bench.fault(Fault(status=302, headers={"Location": f"{other.url}/signed"}))
        bench.net.download(bench.wanted(headers={"authorization": "Bearer hf_secret"}))
    assert [headers.get("authorization") for _, headers in bench.served.asked] == ["Bearer hf_secret"]
    assert [headers.get("authorization") for _, headers in other.asked] == [None]


def test_a_body_of_no_stated_length(bench: Bench) -> None:
    bench.served.lengths = False
    assert bench.net.download(bench.wanted()).sha256 == SHA256
    # Its cut cannot be seen but by the size that is known.
    bench.fault(Fault(cut=4000))
    with pytest.raises(RemoteError, match=r"has 4,000 bytes instead of 10,240"):
        bench.net.download(bench.wanted(size=len(DATA)))


def test_a_disk_that_is_too_full(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 5000, 5000))
    with pytest.raises(ArtefactError, match=r"needs 10\.2 kB more on the disk of .*, 5\.0 kB are free; free some"):
        bench.net.download(bench.wanted())


def test_a_folder_that_cannot_be_written(bench: Bench) -> None:
    (bench.folder / ".part").write_text("mine", encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"rows: cannot be written: (File exists|Not a directory)"):
        bench.net.download(bench.wanted())


def test_a_run_that_is_stopped_keeps_its_piece(bench: Bench) -> None:
    with pytest.raises(Stopped):
        bench.net.download(bench.wanted(), lambda _: bench.net.stop.set())
    assert (bench.folder / ".part" / "rows.part").read_bytes() == DATA
    assert not (bench.folder / "rows").exists()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(1, len(DATA) - 1) | st.sampled_from([429, 500, 503]).map(lambda status: -status)),
    ranges=st.booleans(),
    etags=st.booleans(),
    known=st.sampled_from([{}, {"size": len(DATA)}, {"sha256": SHA256}, {"blob": BLOB, "size": len(DATA)}]),
)
def test_whatever_happens_a_file_in_place_is_whole(
    bench: Bench, cuts: list[int], ranges: bool, etags: bool, known: dict[str, Any]
) -> None:
    bench.served.ranges, bench.served.etags = ranges, etags
    bench.fault(*[Fault(status=-cut) if cut < 0 else Fault(cut=cut) for cut in cuts])
    shutil.rmtree(bench.folder)
    bench.folder.mkdir()
    while True:
        try:
            assert bench.net.download(bench.wanted(**known)).sha256 == SHA256
        except RemoteError:
            assert not (bench.folder / "rows").exists()
        else:
            break
    assert (bench.folder / "rows").read_bytes() == DATA
    assert bench.names() == ["rows"]
