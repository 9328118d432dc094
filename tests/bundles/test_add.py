"""Adding bundles: hashed before they are opened, unpacked with care, in place as a whole or not at all."""

import functools
import io
import tarfile
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cafrnet.bundles import SUMS, add_bundle, find, installed, open_bundle
from cafrnet.bundles import add as adding
from cafrnet.bundles.layout import FILES, write_sums
from cafrnet.datasets import transfer
from cafrnet.errors import InputError, UsageError
from cafrnet.files import sha256
from cafrnet.inference import load_model
from handmade_bundle import copied, tarred, write_grey_bundle, zipped


@pytest.fixture
def server(tmp_path):
    """Serve a folder of this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    host = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=host.serve_forever, args=(0.01,), daemon=True).start()
    yield folder, f"http://127.0.0.1:{host.server_address[1]}"
    host.shutdown()
    host.server_close()


def nothing_left(home):
    """Whether no bundle and no piece of one lies about."""
    return not home.exists() or not [p for p in home.rglob("*") if p.is_file()]


@pytest.mark.parametrize("prefix", ["", "grey-1/"])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_archives(home, grey_bundle, tmp_path, pack, prefix):
    archive = pack(grey_bundle, tmp_path / "archive", prefix)
    added = add_bundle(archive, sha256(archive), try_out=load_model)
    assert added.path == home / "bundles/grey"
    assert sorted(p.name for p in added.path.iterdir()) == sorted([*FILES, SUMS])
    assert [p.name for p in (home / "bundles").iterdir()] == ["grey"]
    assert load_model("grey").bundle.sha256 == open_bundle(grey_bundle).sha256


def test_a_folder(home, grey_bundle, tmp_path):
    folder = copied(grey_bundle, tmp_path / "mine")
    (folder / "notes.txt").write_text("not part of it")
    added = add_bundle(folder, "sha256:" + sha256(folder / SUMS).upper())
    assert not (added.path / "notes.txt").exists()
    assert find("grey") == added.path


def test_an_address(home, grey_bundle, server):
    folder, url = server
    archive = zipped(grey_bundle, folder / "grey.zip")
    told = []
    added = add_bundle(f"{url}/grey.zip", sha256(archive), progress=lambda *a: told.append(a))
    assert added.name == "grey"
    assert told[-1] == ("grey.zip", archive.stat().st_size, archive.stat().st_size)
    assert not list((home / "downloads").iterdir())


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64, "sha256:"])
def test_a_hash_that_is_none(home, grey_bundle, digest):
    with pytest.raises(UsageError, match="64 hexadecimal digits"):
        add_bundle(grey_bundle, digest)
    assert nothing_left(home)


def test_another_hash(home, grey_bundle, tmp_path, server):
    folder, url = server
    archive = zipped(grey_bundle, folder / "grey.zip")
    for source in (grey_bundle, archive):
        with pytest.raises(InputError, match=f"{'0' * 64} was given; nothing was installed"):
            add_bundle(source, "0" * 64)
    with pytest.raises(InputError, match=f"its SHA256 is {sha256(archive)}, {'0' * 64} was stated"):
        add_bundle(f"{url}/grey.zip", "0" * 64)
    assert nothing_left(home)


def test_the_hash_is_compared_before_the_archive_is_opened(home, tmp_path, monkeypatch):
    bomb = tmp_path / "bomb.zip"
    bomb.write_bytes(b"PK\x05\x06" + b"\0" * 18)
    monkeypatch.setattr(adding, "extract", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(InputError, match="nothing was installed"):
        add_bundle(bomb, "0" * 64)


def put(archive, name, content=b"x"):
    """Write one member into a zip or a tar.gz."""
    if isinstance(archive, zipfile.ZipFile):
        archive.writestr(name, content)
    else:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))


OPEN = {"zip": lambda p: zipfile.ZipFile(p, "w"), "tar": lambda p: tarfile.open(p, "w:gz")}  # noqa: SIM115


@pytest.mark.parametrize("kind", OPEN)
@pytest.mark.parametrize("name", ["../../evil", "/evil", "a/../../evil", "c:evil", "a\\evil"])
def test_members_that_leave_the_folder(home, tmp_path, kind, name):
    path = tmp_path / "slip"
    with OPEN[kind](path) as archive:
        put(archive, "model.onnx")
        put(archive, name)
    with pytest.raises(InputError, match=r"(leaves the folder|has an absolute or foreign name); nothing was"):
        add_bundle(path, sha256(path))
    assert nothing_left(home)
    assert not list(tmp_path.rglob("*evil*"))


def test_links_in_a_tar(home, tmp_path):
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        path = tmp_path / "links"
        with tarfile.open(path, "w:gz") as archive:
            info = tarfile.TarInfo("model.onnx")
            info.type, info.linkname = kind, "../../somewhere"
            archive.addfile(info)
        with pytest.raises(InputError, match="is a link or a device"):
            add_bundle(path, sha256(path))
    assert nothing_left(home)


@pytest.mark.parametrize("kind", OPEN)
def test_too_much(home, tmp_path, kind, monkeypatch):
    monkeypatch.setattr(adding, "MOST_BYTES", 1000)
    path = tmp_path / "large"
    with OPEN[kind](path) as archive:
        put(archive, "model.onnx", b"0" * 1001)
    with pytest.raises(InputError, match="at most 1000"):
        add_bundle(path, sha256(path))
    assert nothing_left(home)


def test_too_much_is_not_fetched(home, grey_bundle, server, monkeypatch):
    folder, url = server
    zipped(grey_bundle, folder / "grey.zip")
    monkeypatch.setattr(adding, "MOST_BYTES", 1000)
    monkeypatch.setattr(adding, "fetch", lambda *_, **__: pytest.fail("it was fetched"))
    with pytest.raises(InputError, match="at most 1000 are accepted"):
        add_bundle(f"{url}/grey.zip", "0" * 64)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_truncated_archives(home, grey_bundle, tmp_path, pack):
    path = pack(grey_bundle, tmp_path / "archive")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"is no(t a)? whole zip"):
        add_bundle(path, sha256(path))
    assert nothing_left(home)


def test_a_bundle_that_is_not_whole_inside(home, tmp_path):
    folder = write_grey_bundle(tmp_path / "b")
    (folder / "card.yaml").write_text("format: 1\n")
    path = zipped(folder, tmp_path / "b.zip")
    with pytest.raises(InputError, match=r"card\.yaml has the SHA-256"):
        add_bundle(path, sha256(path))
    assert nothing_left(home)


def test_a_model_that_can_t_be_loaded_is_not_installed(home, tmp_path):
    folder = write_grey_bundle(tmp_path / "b")
    (folder / "model.onnx").write_bytes(b"not a model")
    write_sums(folder)  # they fit: only trying it out can tell
    with pytest.raises(InputError, match="no ONNX model"):
        add_bundle(folder, sha256(folder / SUMS), try_out=load_model)
    assert nothing_left(home)


def test_twice_and_another_of_that_name(home, grey_bundle, tmp_path):
    first = add_bundle(grey_bundle, sha256(grey_bundle / SUMS))
    assert add_bundle(grey_bundle, sha256(grey_bundle / SUMS)).sha256 == first.sha256
    other = write_grey_bundle(tmp_path / "other", version="2")
    digest = sha256(other / SUMS)
    with pytest.raises(UsageError, match=r"'grey' already, version 1 \(this is 2\); add --overwrite"):
        add_bundle(other, digest)
    assert open_bundle(find("grey")).card.version == "1"
    assert add_bundle(other, digest, overwrite=True).card.version == "2"
    assert list(installed()) == ["grey"]


def test_a_damaged_one_is_replaced_only_when_asked(home, grey_bundle):
    digest = sha256(grey_bundle / SUMS)
    added = add_bundle(grey_bundle, digest)
    (added.path / "model.onnx").write_bytes(b"")
    with pytest.raises(UsageError, match="holds a damaged bundle; add --overwrite"):
        add_bundle(grey_bundle, digest)
    assert open_bundle(add_bundle(grey_bundle, digest, overwrite=True).path)


def test_a_file_in_its_place_is_replaced_only_when_asked(home, grey_bundle):
    (home / "bundles").mkdir(parents=True)
    (home / "bundles/grey").write_text("x")
    digest = sha256(grey_bundle / SUMS)
    with pytest.raises(UsageError, match="holds a damaged bundle; add --overwrite"):
        add_bundle(grey_bundle, digest)
    assert add_bundle(grey_bundle, digest, overwrite=True).path == home / "bundles/grey"


def test_an_interrupted_replacement_leaves_the_old_one(home, grey_bundle, tmp_path, monkeypatch):
    add_bundle(grey_bundle, sha256(grey_bundle / SUMS))
    other = write_grey_bundle(tmp_path / "other", version="2")
    rename, calls = adding.os.rename, []

    def fail_at_second(a, b):
        calls.append(a)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        rename(a, b)

    monkeypatch.setattr(adding.os, "rename", fail_at_second)
    with pytest.raises(InputError, match="No space left on device"):
        add_bundle(other, sha256(other / SUMS), overwrite=True)
    assert open_bundle(find("grey")).card.version == "1"


@pytest.mark.parametrize("source", ["ftp://host/x.zip", "file:///etc/passwd", "https://", "no-such-file.zip"])
def test_sources_that_are_none(home, source):
    with pytest.raises(UsageError, match="was expected"):
        add_bundle(source, "0" * 64)


def test_no_network(home, monkeypatch):
    monkeypatch.setattr(transfer, "MOST_REFUSALS", 1)  # nobody listens: no waiting between tries
    host = ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    port = host.server_address[1]
    host.server_close()
    with pytest.raises(InputError, match="can't be reached"):
        add_bundle(f"http://127.0.0.1:{port}/x.zip", "0" * 64)
    assert nothing_left(home)


def test_an_address_that_is_not_there(home, server):
    _, url = server
    with pytest.raises(InputError, match="404"):
        add_bundle(f"{url}/gone.zip", "0" * 64)


def test_a_full_disk(home, grey_bundle, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(adding.shutil, "copyfile", full)
    with pytest.raises(InputError, match="could not be written: No space left"):
        add_bundle(grey_bundle, sha256(grey_bundle / SUMS))
    assert installed() == {}


def test_a_home_that_can_t_be_written(tmp_path, monkeypatch, grey_bundle):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CAFRNET_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match="set CAFRNET_HOME to another folder"):
        add_bundle(grey_bundle, sha256(grey_bundle / SUMS))
