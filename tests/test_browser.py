"""The report in a real browser: whatever classes and photographs are called, no script runs."""

import csv
import subprocess
import sys

import chromium
import numpy as np
import pytest
from conftest import VocFolder, settings_of

from aepsl.stores.records import Record, writing_shard

pytestmark = pytest.mark.browser

CLASSES = [
    "<script>alert(1)</script>",
    "<svg/onload=alert(2)>",
    "\"><img/src=x/onerror='alert(3)'>",
    "{{7*7}}",
    "</style><script>alert(4)</script>",
]
IDS = ["<script>alert(5)", '"onerror="alert(6)', "'onload='alert(7)", "&lt;b&gt;", "a%00#b?c", "ü"]


@pytest.fixture
def page(tmp_path):
    """Return an empty page of a browser."""
    browser = chromium.find()
    if browser is None:
        pytest.skip("no browser: chromium is not installed (Debian: apt-get install chromium)")
    with chromium.page(browser, tmp_path / "profile") as opened:
        yield opened


def aepsl(folder, *arguments):
    result = subprocess.run(
        [sys.executable, "-m", "aepsl", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def store(path, kind, arrays):
    """Write a store with a record for each photograph, whose classes are all there."""
    facts = {"stride": 8, "class_names": CLASSES}
    with writing_shard(path, kind=kind, facts=facts) as writer:
        for image_id in IDS:
            writer.add(image_id, Record(arrays, {"classes": list(range(len(CLASSES)))}))
    return path.with_suffix(".json")


@pytest.fixture
def report(tmp_path):
    """Return the report of a run with hostile names, made by the real stages."""
    data = VocFolder(tmp_path / "photographs", ids=IDS)
    data.write_split("train", IDS)
    data.write_split("val", IDS)
    with data.labels.open("w", newline="") as file:
        csv.writer(file).writerows([("image", "labels"), *((i, " ".join(CLASSES)) for i in IDS)])
    train, truth = tmp_path / "train.json", tmp_path / "truth.json"
    data.index(train, class_names=CLASSES)
    data.index_truth(train, truth, class_names=CLASSES)
    mask = {"mask": np.arange(40 * 48).reshape(40, 48).astype("u1") % (1 + len(CLASSES))}
    everywhere = np.ones((len(CLASSES), 40, 48), "u1")
    cam = {"cam": np.random.default_rng(0).random((len(CLASSES), 5, 6)).astype("f2")}
    labels = store(tmp_path / "labels" / "0.h5", "labels", mask)
    predictions = store(tmp_path / "predictions" / "0.h5", "predictions", mask)
    regions = {"region": everywhere, "union": everywhere}
    (tmp_path / "curve.csv").write_text("epoch,loss\n1,0.5\n2,0.25\n")
    of = ("--truth", truth, "--root", data.root)
    about = ("--variant", "main", "--seed", "0", "--output", "labels-score.json")
    config = settings_of("score", {"evaluation": {"resamples": 10}}, target="labels")
    wanted = ("--config", config.canonical(), "--target", "labels")
    aepsl(tmp_path, "score", *of, *wanted, "--store", labels, *about)
    aepsl(
        tmp_path,
        *("summarise", "labels-score.json", "--output", "scores.json", "--table", "scores.csv"),
    )
    aepsl(
        tmp_path,
        *("report", "--dataset", train, "--evaluated", train, *of, "--scores", "scores.json"),
        *("--cams", store(tmp_path / "cams" / "0.h5", "cams", cam)),
        *("--regions", store(tmp_path / "regions" / "0.h5", "regions", regions)),
        *("--saliency", "", "--labels", labels, "--predictions", predictions, "--verdicts", ""),
        *("--classifier-curves", "curve.csv", "--segmentation-curve", "curve.csv"),
        *("--name", "hostile", "--variant", "main", "--seed", "0"),
        *("--output", tmp_path / "report" / "index.html"),
    )
    return tmp_path / "report" / "index.html"


def test_a_script_would_be_noticed(page, tmp_path):
    (tmp_path / "bad.html").write_text("<p>x</p><script>alert(1)</script><img src=x onerror=go()>")
    page.open(tmp_path / "bad.html")
    assert page.dialogs == ["1"]
    assert len(page.scripts) == 2


def test_no_name_runs_a_script_in_the_report(page, report):
    page.open(report)
    assert page.scripts == []
    assert page.dialogs == []
    folder = report.parent.as_uri()
    assert len(page.requests) > len(IDS)
    assert all(url.startswith(folder) for url in page.requests), "the page needs a network"
    text = page.evaluate("document.body.innerText")
    for name in CLASSES + IDS:
        assert name in text  # as it is written, not as the browser would take it
    shown = page.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 0)")
    assert len(shown) == 2 + len(IDS) * (1 + len(CLASSES) + 1 + 3)
    assert all(shown)
