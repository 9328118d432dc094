"""Downloads from a server on this machine that breaks off, is slow, and lies."""

import contextlib
import hashlib
import io
import json
import re
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from drawn_spine import draw_image, draw_labels, save

from cafrnet.datasets.download import SOURCES, download
from cafrnet.datasets.transfer import MOST_FAILURES, Remote, fetch, read_json
from cafrnet.errors import InputError, UsageError


class Host:
    """A server whose behaviour a test sets.

    Attributes:
        files: path -> bytes.
        cut_after: bytes after which a connection is closed, for the first ``cuts`` answers.
        status: answered instead of the file, for the first ``refusals`` requests.
        ranges: whether parts of a file are served.
        silent_s: silence in the middle of the first answer.
        asked: the Range header of each request (None without).
    """

    def __init__(self):
        self.files, self.asked = {}, []
        self.cuts = self.refusals = 0
        self.cut_after, self.status, self.ranges, self.silent_s = 10**9, 503, True, 0.0
        self.said_length = None
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                with contextlib.suppress(ConnectionError):
                    host.answer(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request):
        request.close_connection = True
        self.asked.append(request.headers.get("Range"))
        if self.refusals > 0:
            self.refusals -= 1
            return request.send_error(self.status)
        if request.path not in self.files:
            return request.send_error(404)
        content, start = self.files[request.path], 0
        if self.ranges and (span := request.headers.get("Range")):
            start = int(re.fullmatch(r"bytes=(\d+)-", span).group(1))
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            request.send_response(200)
        request.send_header("Content-Length", str(self.said_length or len(content) - start))
        request.end_headers()
        body = content[start:]
        if self.silent_s:
            request.wfile.write(body[:100])
            request.wfile.flush()
            seconds, self.silent_s = self.silent_s, 0.0
            time.sleep(seconds)
            body = body[100:]
        if self.cuts > 0:
            self.cuts -= 1
            body = body[: self.cut_after]
        request.wfile.write(body)


@pytest.fixture
def host():
    host = Host()
    yield host
    host.server.shutdown()
    host.server.server_close()


@pytest.fixture
def pauses():
    return []


CONTENT = bytes(range(256)) * 400


def remote(host, content=CONTENT, **other):
    host.files["/file"] = content
    known = {"name": "file", "url": host.url + "/file", "size": len(content)}
    return Remote(**{**known, "md5": hashlib.md5(content).hexdigest(), **other})


# --- one file ---------------------------------------------------------------------------------------------


def test_a_file_comes_whole_with_progress(host, tmp_path, pauses):
    seen = []
    fetch(remote(host), tmp_path / "f", progress=lambda *a: seen.append(a), pause=pauses.append)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert seen[-1] == ("file", len(CONTENT), len(CONTENT))
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    assert pauses == []


def test_a_file_that_is_there_is_not_fetched_again(host, tmp_path):
    (tmp_path / "f").write_bytes(CONTENT)
    fetch(remote(host), tmp_path / "f")
    assert host.asked == []


def test_broken_connections_are_resumed(host, tmp_path, pauses):
    host.cuts, host.cut_after = 20, 4000  # more breaks than failures in a row are allowed
    fetch(remote(host), tmp_path / "f", pause=pauses.append)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert host.asked[:3] == [None, "bytes=4000-", "bytes=8000-"]
    assert pauses == [1.0] * 20


def test_a_later_call_goes_on_where_the_earlier_stopped(host, tmp_path):
    (tmp_path / "f.part").write_bytes(CONTENT[:5000])
    fetch(remote(host), tmp_path / "f")
    assert host.asked == ["bytes=5000-"]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_server_that_cannot_resume_starts_over(host, tmp_path):
    host.ranges = False
    (tmp_path / "f.part").write_bytes(b"x" * 5000)
    fetch(remote(host), tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_silent_server_is_asked_again(host, tmp_path, pauses):
    host.silent_s = 1.0
    started = time.monotonic()
    fetch(remote(host), tmp_path / "f", timeout_s=0.2, pause=pauses.append)
    assert time.monotonic() - started < 0.9
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert host.asked == [None, "bytes=100-"]


def test_a_busy_server_is_asked_again_later_and_later(host, tmp_path, pauses):
    host.refusals = 3
    fetch(remote(host), tmp_path / "f", pause=pauses.append)
    assert pauses == [1.0, 2.0, 4.0]


def test_a_server_that_stays_busy_is_given_up(host, tmp_path, pauses):
    host.refusals = 100
    with pytest.raises(InputError, match=r"503.*try again later"):
        fetch(remote(host), tmp_path / "f", pause=pauses.append)
    assert len(host.asked) == MOST_FAILURES
    assert not (tmp_path / "f").exists()


def test_a_server_that_is_not_there(tmp_path, pauses):
    gone = Remote("f", "http://127.0.0.1:9/f", 10, "0" * 32)
    with pytest.raises(InputError, match="can't be reached"):
        fetch(gone, tmp_path / "f", pause=pauses.append, timeout_s=0.5)
    assert pauses == [1.0]  # a refused connection is tried twice, not six times


def test_not_found_is_not_tried_again(host, tmp_path, pauses):
    with pytest.raises(InputError, match="404"):
        fetch(remote(host, url=host.url + "/none"), tmp_path / "f", pause=pauses.append)
    assert (len(host.asked), pauses) == (1, [])


def test_a_wrong_sum_removes_the_file(host, tmp_path):
    with pytest.raises(InputError, match="MD5"):
        fetch(remote(host, md5="0" * 32), tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_another_size_than_stated_is_refused_before_the_bytes(host, tmp_path, size):
    with pytest.raises(InputError, match=f"has {len(CONTENT)} bytes, its record states {size}"):
        fetch(remote(host, size=size), tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_a_length_that_lies_ends_in_too_few_bytes(host, tmp_path, pauses):
    """The server announces what the record states, and never sends it all."""
    host.said_length = len(CONTENT) + 50
    with pytest.raises(InputError, match="has 102400 bytes, its record states 102450"):
        fetch(remote(host, size=len(CONTENT) + 50), tmp_path / "f", pause=pauses.append)
    assert not (tmp_path / "f").exists()


def test_no_space_is_said_before_anything_comes(host, tmp_path):
    with pytest.raises(InputError, match="are free"):
        fetch(remote(host, size=10**18), tmp_path / "f")
    assert host.asked == []


def test_what_the_disk_refuses_is_not_tried_again(host, tmp_path, pauses):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="could not be written"):
        fetch(remote(host), tmp_path / "file/f", pause=pauses.append)
    (tmp_path / "f.part").symlink_to("/dev/full")
    with pytest.raises(InputError, match="No space left"):
        fetch(remote(host), tmp_path / "f", pause=pauses.append)
    assert pauses == []


def test_a_record_that_is_no_json(host):
    host.files["/r"] = b"<html>"
    with pytest.raises(InputError, match="JSON"):
        read_json(host.url + "/r")


# --- whole datasets ---------------------------------------------------------------------------------------


def packed(folder):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                target.write(path, path.relative_to(folder))
    return buffer.getvalue()


@pytest.fixture
def spinemri_zip(spinemri):
    return packed(spinemri(2, 5, values=""))


def figshare(host, content, **other):
    host.files["/train.zip"] = content
    entry = {
        "id": 54869912,
        "name": "train.zip",
        "size": len(content),
        "download_url": host.url + "/train.zip",
        "computed_md5": hashlib.md5(content).hexdigest(),
    }
    host.files["/record"] = json.dumps({"files": [{**entry, **other}]}).encode()
    return host.url + "/record"


def test_spinemri_from_its_record(host, tmp_path, spinemri_zip, pauses):
    host.cuts, host.cut_after = 3, 1000
    url = figshare(host, spinemri_zip)
    dataset = download("spinemri", tmp_path / "new", accept_licence=True, record_url=url, pause=pauses.append)
    assert [c.id for c in dataset] == ["Case2", "Case5"]
    assert dataset.root == tmp_path / "new"
    assert dataset.cases[0].truth_ids()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "spine"]


def test_spider_from_its_record(host, tmp_path):
    for folder, array in (("images", draw_image(1)), ("masks", draw_labels())):
        save(tmp_path / folder / "1_t2.nii.gz", array)
        host.files[f"/{folder}.zip"] = packed(tmp_path / folder)  # without the folder's own name
    host.files["/overview.csv"] = b"new_file_name,sex\n1_t2,F \n"
    host.files["/radiological_gradings.csv"] = b"Patient\n1\n"
    host.files["/extra.txt"] = b"not wanted"
    entries = [
        {
            "key": path[1:],
            "size": len(content),
            "checksum": "md5:" + hashlib.md5(content).hexdigest(),
            "links": {"self": host.url + path},
        }
        for path, content in list(host.files.items())
    ]
    host.files["/record"] = json.dumps({"files": entries}).encode()
    dataset = download("spider", tmp_path / "new", accept_licence=True, record_url=host.url + "/record")
    assert [(c.id, c.labels.name) for c in dataset] == [("1_t2", "1_t2.nii.gz")]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        "images",
        "masks",
        "overview.csv",
        "radiological_gradings.csv",
    ]


def test_a_zip_already_there_needs_no_network(tmp_path, spinemri_zip):
    (tmp_path / "54869912.zip").write_bytes(spinemri_zip)
    dataset = download("spinemri", tmp_path / "new", accept_licence=True, zips=[tmp_path / "54869912.zip"])
    assert len(dataset) == 2
    assert (tmp_path / "54869912.zip").exists()


def test_terms_must_be_accepted_before_anything_happens(host, tmp_path, spinemri_zip):
    with pytest.raises(UsageError, match="--accept-licence"):
        download("spinemri", tmp_path / "new", record_url=figshare(host, spinemri_zip))
    assert host.asked == []
    assert not (tmp_path / "new").exists()


def test_the_terms_say_what_the_owner_says():
    for word in (
        "no commercial use",
        "no redistribution",
        "signed agreement",
        "could not be seen",
        "non-commercial",
    ):
        assert word in SOURCES["spinemri"].terms
    assert "CC BY 4.0" in SOURCES["spider"].terms


def test_a_folder_that_is_there_is_not_touched(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new/mine").write_text("x")
    with pytest.raises(UsageError, match="there already"):
        download("spinemri", tmp_path / "new", accept_licence=True)
    assert (tmp_path / "new/mine").read_text() == "x"


def test_an_unknown_dataset_names_the_nearest(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'spider'"):
        download("spidr", tmp_path / "new", accept_licence=True)


@pytest.mark.parametrize(
    ("members", "said"),
    [({"../evil": b"1"}, "leaves the folder"), ({"readme.txt": b"1"}, "layout of spinemri is not in there")],
)
def test_a_bad_archive_leaves_nothing(host, tmp_path, members, said):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, content in members.items():
            target.writestr(name, content)
    url = figshare(host, buffer.getvalue())
    with pytest.raises(InputError, match=said):
        download("spinemri", tmp_path / "new", accept_licence=True, record_url=url)
    assert [p.name for p in tmp_path.iterdir()] == ["new.download"]  # the checked zip itself


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ([], "not a record"),
        ({"files": []}, "train.zip is missing"),
        ({"files": [{"name": "train.zip"}]}, "not a record"),
        (
            {
                "files": [
                    {
                        "name": "train.zip",
                        "size": 1,
                        "computed_md5": "0",
                        "download_url": "file:///etc/passwd",
                    }
                ]
            },
            "file:///etc/passwd; one with http",
        ),
    ],
)
def test_records_that_make_no_sense(host, tmp_path, record, said):
    host.files["/record"] = json.dumps(record).encode()
    with pytest.raises(InputError, match=said):
        download("spinemri", tmp_path / "new", accept_licence=True, record_url=host.url + "/record")
