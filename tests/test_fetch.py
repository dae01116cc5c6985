"""Fetching VOC and SBD with torchvision's own downloaders, from a server on this machine."""

import hashlib
import http.server
import tarfile
import threading
from functools import partial
from typing import ClassVar

import in_process
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import SBDataset, voc

from aepsl.cli.fetch import download
from aepsl.data import fetch
from aepsl.data.adapters import described
from aepsl.data.download import fetch_file
from aepsl.data.images import read_mask
from aepsl.data.published import NETWORKS, Published, about_network
from aepsl.errors import AepslError
from aepsl.workflow.plan import Plan
from aepsl.workflow.stages import saliency_source


def packed(folder, archive):
    with tarfile.open(archive, "w:gz" if archive.suffix == ".tgz" else "w") as tar:
        tar.add(folder, arcname=folder.name)
    return hashlib.md5(archive.read_bytes()).hexdigest()


def write_voc(root, splits):
    """Write a tiny VOCdevkit; the class of image k is k."""
    base = root / "VOCdevkit" / "VOC2012"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (base / name).mkdir(parents=True)
    for name, ids in splits.items():
        (base / f"ImageSets/Segmentation/{name}.txt").write_text("".join(f"{i}\n" for i in ids))
        for image_id in ids:
            Image.new("RGB", (6, 4)).save(base / f"JPEGImages/{image_id}.jpg")
            mask = np.full((4, 6), int(image_id[-1]), np.uint8)
            if name != "other":
                Image.fromarray(mask).save(base / f"SegmentationClass/{image_id}.png")
    return root / "VOCdevkit"


def write_sbd(root, splits):
    base = root / "benchmark_RELEASE" / "dataset"
    for name in ("img", "cls", "inst"):
        (base / name).mkdir(parents=True)
    kind = np.dtype([("Segmentation", object)])
    for name, ids in splits.items():
        (base / f"{name}.txt").write_text("".join(f"{i}\n" for i in ids))
        for image_id in ids:
            classes = np.full((4, 6), 10 + int(image_id[-1]), np.uint8)
            table = np.empty((1, 1), kind)
            table["Segmentation"][0, 0] = classes
            savemat(base / f"cls/{image_id}.mat", {"GTcls": table})
    return root / "benchmark_RELEASE"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve the two archives; a1-a2 are VOC's train, b3 its val, c4-c5 only SBD's."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *args: None
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
    address = f"http://127.0.0.1:{httpd.server_port}"
    voc_md5 = packed(
        write_voc(tmp_path / "v", {"train": ["a1", "a2"], "val": ["b3"], "other": ["c4", "c5"]}),
        folder / "voc.tar",
    )
    about = {"url": f"{address}/voc.tar", "filename": "voc.tar", "md5": voc_md5}
    base = {"base_dir": "VOCdevkit/VOC2012"}
    monkeypatch.setitem(voc.DATASET_YEAR_DICT, "2012", about | base)
    sbd_md5 = packed(
        write_sbd(tmp_path / "s", {"train": ["a1", "b3", "c4"], "val": ["c5"]}), folder / "sbd.tgz"
    )
    monkeypatch.setattr(SBDataset, "url", f"{address}/sbd.tgz")
    monkeypatch.setattr(SBDataset, "md5", sbd_md5)
    monkeypatch.setattr(SBDataset, "filename", "sbd.tgz")
    monkeypatch.setattr(fetch, "SPLIT_SIZES", {"train": 2, "val": 1, "train_aug": 4})
    yield folder
    httpd.shutdown()


def test_voc_and_sbd_become_train_aug(server, tmp_path):
    download(tmp_path / "data", sbd=True)
    base = tmp_path / "data/VOCdevkit/VOC2012"
    ids = (base / "ImageSets/Segmentation/train_aug.txt").read_text().split()
    assert ids == ["a1", "a2", "c4", "c5"]
    masks = {path.stem: read_mask(path) for path in (base / fetch.MASKS).iterdir()}
    # VOC's own mask where there is one, SBD's elsewhere
    assert {name: mask.max() for name, mask in masks.items()} == {
        "a1": 1,
        "a2": 2,
        "b3": 3,
        "c4": 14,
        "c5": 15,
    }
    for archive in server.iterdir():
        archive.unlink()
    download(tmp_path / "data", sbd=True)  # what is there is not fetched again


def test_a_broken_archive_is_refused(server, tmp_path):
    archive = server / "voc.tar"
    archive.write_bytes(archive.read_bytes()[:-600] + b"x" * 600)
    with pytest.raises(AepslError, match="could not be downloaded"):
        download(tmp_path / "data", sbd=False)
    assert not (tmp_path / "data/VOCdevkit").exists()


def link(name, target, kind=tarfile.SYMTYPE):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, str(target)
    return member


def special(name, kind):
    member = tarfile.TarInfo(name)
    member.type, member.devmajor, member.devminor = kind, 1, 5
    return member


HOSTILE = {
    "a path that climbs": lambda out: [tarfile.TarInfo("VOCdevkit/../../outside/evil")],
    "an absolute path": lambda out: [tarfile.TarInfo(f"{out}/evil")],
    "a link outside": lambda out: [link("VOCdevkit/x", out), tarfile.TarInfo("VOCdevkit/x/evil")],
    "a link that climbs": lambda out: [
        link("VOCdevkit/x", "../../outside"),
        tarfile.TarInfo("VOCdevkit/x/evil"),
    ],
    "a hard link to a file outside": lambda out: [
        link("VOCdevkit/x", out / "secret", tarfile.LNKTYPE)
    ],
    "a device": lambda out: [special("VOCdevkit/zero", tarfile.CHRTYPE)],
    "a named pipe": lambda out: [special("VOCdevkit/pipe", tarfile.FIFOTYPE)],
}


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="Python 3.11.4 has filters")
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_reaches_nothing_outside_its_folder(server, tmp_path, monkeypatch, case):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    with tarfile.open(server / "voc.tar", "a") as tar:
        for member in HOSTILE[case](outside):
            tar.addfile(member)
    md5 = hashlib.md5((server / "voc.tar").read_bytes()).hexdigest()
    monkeypatch.setitem(voc.DATASET_YEAR_DICT["2012"], "md5", md5)
    if case == "an absolute path":  # it is made a relative one
        download(tmp_path / "data", sbd=False)
    else:
        with pytest.raises(AepslError, match="could not be downloaded"):
            download(tmp_path / "data", sbd=False)
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").stat().st_nlink == 1
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_symlink()
        assert path.is_file() or path.is_dir()


def test_a_file_that_is_not_an_archive_is_refused(server, tmp_path, monkeypatch):
    (server / "voc.tar").write_text("<html>")
    md5 = hashlib.md5(b"<html>").hexdigest()
    monkeypatch.setitem(voc.DATASET_YEAR_DICT["2012"], "md5", md5)
    with pytest.raises(AepslError, match="could not be downloaded"):
        download(tmp_path / "data", sbd=False)


def test_an_unreachable_server_is_reported(server, tmp_path):
    (server / "voc.tar").unlink()
    with pytest.raises(AepslError, match="could not be downloaded") as caught:
        download(tmp_path / "data", sbd=False)
    assert "put VOC's folders there yourself" in str(caught.value)


@pytest.mark.parametrize(
    ("file", "what"),
    [("JPEGImages/a2.jpg", "photographs"), ("SegmentationClass/b3.png", "masks")],
)
def test_a_half_unpacked_archive_is_unpacked_again(server, tmp_path, file, what):
    download(tmp_path / "data", sbd=False)
    absent = tmp_path / "data/VOCdevkit/VOC2012" / file
    absent.unlink()
    with pytest.raises(AepslError, match=f"1 {what} are absent, the first is {file[-6:-4]}"):
        fetch.check_splits(absent.parent.parent, ["train", "val"])
    (server / "voc.tar").unlink()  # it is not downloaded again
    download(tmp_path / "data", sbd=False)
    assert absent.is_file()


class RangeServer(http.server.BaseHTTPRequestHandler):
    """Serves ``content`` from the byte that is asked for; notes the first byte of each answer."""

    content = bytes(range(256)) * 9000
    starts: ClassVar = []
    ranges = True

    def do_GET(self):
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        self.starts.append(start)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        self.wfile.write(self.content[start:])

    def log_message(self, *args):
        pass


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_continues(tmp_path, monkeypatch, ranges):
    monkeypatch.setattr(RangeServer, "ranges", ranges)
    monkeypatch.setattr(RangeServer, "starts", [])
    content = RangeServer.content
    (tmp_path / "a.tar.part").write_bytes(content[:1_000_000])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), RangeServer) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{httpd.server_port}/a.tar"
        md5 = hashlib.md5(content).hexdigest()
        fetch_file(url, tmp_path / "a.tar", digest=f"md5:{md5}")
        fetch_file(url, tmp_path / "a.tar", digest=f"md5:{md5}")  # it is there
        assert RangeServer.starts == [1_000_000 if ranges else 0]
        assert (tmp_path / "a.tar").read_bytes() == content
        (tmp_path / "b.tar.part").write_bytes(b"of another file")
        if ranges:  # what does not become the published file is not kept
            with pytest.raises(RuntimeError, match="not the published file"):
                fetch_file(url, tmp_path / "b.tar", digest=f"md5:{md5}")
            assert not (tmp_path / "b.tar.part").exists()
        httpd.shutdown()


def test_splits_of_another_size_are_refused(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "SPLIT_SIZES", {"train": 1464, "val": 1449})
    with pytest.raises(AepslError, match="2 images instead of 1464"):
        download(tmp_path / "data", sbd=False)


class BreakingServer(RangeServer):
    """Closes the connection before the end of what it announced, once."""

    broken: ClassVar = []

    def do_GET(self):
        if self.broken:
            super().do_GET()
            return
        self.broken.append(True)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content[:1_500_000])


def test_a_connection_that_ends_early_keeps_what_came(tmp_path, monkeypatch):
    monkeypatch.setattr(RangeServer, "starts", [])
    md5 = hashlib.md5(RangeServer.content).hexdigest()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), BreakingServer) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{httpd.server_port}/a.tar"
        with pytest.raises(OSError, match="ended early"):
            fetch_file(url, tmp_path / "a.tar", digest=f"md5:{md5}")
        fetch_file(url, tmp_path / "a.tar", digest=f"md5:{md5}")
        httpd.shutdown()
    assert RangeServer.starts == [1_500_000]
    assert (tmp_path / "a.tar").read_bytes() == RangeServer.content


def test_voc_by_name_is_where_it_was_downloaded(server, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plan = Plan({"base": "voc2012"})
    with pytest.raises(AepslError, match=r"aepsl fetch-voc --sbd downloads it \(3\.5 GB\)"):
        plan.check_files()
    assert in_process.aepsl(tmp_path, "fetch-voc", "--sbd").returncode == 0
    Plan({"base": "voc2012"}).check_files()
    dataset = described(plan.config.data)
    assert dataset.root == tmp_path / "cache/aepsl/VOCdevkit/VOC2012"
    assert dataset.ids("train_aug") == ["a1", "a2", "c4", "c5"]
    own = Plan({"base": "voc2012", "data": {"root": str(tmp_path / "own")}})
    assert described(own.config.data).root == tmp_path / "own"


BY_NAME = {"base": "scenes", "saliency": {"method": "network"}}
"""A configuration that names no file: the default is a published network."""


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Serve ``RangeServer.content`` as the published network; return the digest that it has."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "rembg"))
    monkeypatch.setattr(RangeServer, "starts", [])
    digest = f"sha256:{hashlib.sha256(RangeServer.content).hexdigest()}"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), RangeServer) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{httpd.server_port}/u2netp.onnx"
        monkeypatch.setitem(NETWORKS, "u2netp", Published(url, digest, "a network"))
        yield digest
        httpd.shutdown()


def test_planning_downloads_a_network_by_name_once(tmp_path, published):
    plan = Plan(BY_NAME)
    assert RangeServer.starts == []  # reading the settings downloads nothing
    plan.check_files()
    Plan(BY_NAME).check_files()
    file = tmp_path / "torch/hub/checkpoints/u2netp.onnx"
    assert file.read_bytes() == RangeServer.content
    assert saliency_source(plan.config) == str(file)
    assert about_network(file) == "a network"
    file.write_bytes(b"another")
    assert about_network(file) == "a network of the user's"
    assert RangeServer.starts == [0]


def test_the_network_that_rembg_keeps_is_used(tmp_path, published):
    theirs = tmp_path / "rembg/u2netp.onnx"
    theirs.parent.mkdir()
    theirs.write_bytes(b"of another version")
    assert saliency_source(Plan(BY_NAME).config) != str(theirs)
    theirs.write_bytes(RangeServer.content)
    plan = Plan(BY_NAME)
    plan.check_files()
    assert saliency_source(plan.config) == str(theirs)
    assert RangeServer.starts == []


@pytest.mark.parametrize("fault", ["another file", "no network"])
def test_a_network_that_cannot_be_downloaded_is_told_before_anything_runs(
    tmp_path, published, monkeypatch, fault
):
    url = NETWORKS["u2netp"].url if fault == "another file" else "http://127.0.0.1:9/u2netp.onnx"
    monkeypatch.setitem(NETWORKS, "u2netp", Published(url, f"sha256:{'0' * 64}", ""))
    with pytest.raises(AepslError) as refused:
        Plan(BY_NAME).check_files()
    what, hint = str(refused.value).split("Hint: ")
    file = tmp_path / "torch/hub/checkpoints/u2netp.onnx"
    assert f"{file}: the saliency network u2netp could not be downloaded" in what
    assert f"download {url} elsewhere and put it there" in hint
    assert "saliency.method: robust_background" in hint
    assert not file.exists()


@pytest.mark.real_data
def test_the_published_network_is_that_of_the_data(shared_data):
    content = (shared_data / "saliency" / "u2netp.onnx").read_bytes()
    assert NETWORKS["u2netp"].digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
