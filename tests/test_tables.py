"""Tables of ablations, the VOC archive, score files: literal content."""

import csv
import itertools
import json
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import settings_of
from PIL import Image

from aepsl.report import figures
from aepsl.report.tables import markdown
from aepsl.stages import collect_tables, pack_voc_test, score, tabulate
from aepsl.stores.atomic import digest_of, write_manifest_json
from aepsl.stores.manifests import MaskEntry, TruthManifest, write_manifest
from aepsl.stores.records import Record, writing_shard


def score_file(path, **measures):
    about = {"split": "val", "images": 54, "miou_interval": [0.4, 0.6]}
    write_manifest_json(path, about | measures)
    return str(path)


@pytest.fixture
def specification(tmp_path):
    """Two rows of two seeds; the second row has no labels."""
    curve = tmp_path / "curve.csv"
    curve.write_text("epoch,loss\n1,0.4\n2,0.125\n")
    labels = score_file(tmp_path / "l.json", miou=0.7, split="train", images=112)
    weak = [score_file(tmp_path / f"w{k}.json", miou=v) for k, v in enumerate((0.5, 0.6))]
    full = [score_file(tmp_path / f"f{k}.json", miou=v) for k, v in enumerate((0.8, 0.8))]
    rows = [
        {
            "name": "weak",
            "label": "weak | labels",
            "paper": 55.0,
            "paper_source": "quoted",
            "scores": {
                str(k): {"classifier": str(curve), "labels": labels, "predictions": weak[k]}
                for k in (0, 1)
            },
        },
        {
            "name": "full",
            "label": "full",
            "paper": None,
            "paper_source": "recalled",
            "scores": {
                str(k): {"classifier": None, "labels": None, "predictions": full[k]} for k in (0, 1)
            },
        },
    ]
    columns = ["classifier.loss", "labels.miou", "predictions.miou"]
    return {
        "name": "t",
        "title": "Bounds",
        "note": "Mind.",
        "reference": "full",
        "confidence": 0.95,
        "columns": columns,
        "rows": rows,
    }


def cells(line):
    return [cell.strip() for cell in line.replace("\\|", "¦").strip("|").split("|")]


def test_a_table_literally(tmp_path, specification):
    outputs = {name: tmp_path / f"t.{name}" for name in ("csv", "md", "png")}
    tabulate.tabulate(
        specification=json.dumps(specification),
        output=outputs["csv"],
        text=outputs["md"],
        plot=outputs["png"],
    )
    lines = outputs["md"].read_text().splitlines()
    assert lines[0] == "### Bounds"
    assert cells(lines[2]) == [
        "",
        "classifier: loss",
        "labels: mIoU, %",
        "predictions: mIoU, %",
        "predictions relative to “full”",
        "paper, mIoU %",
    ]
    assert cells(lines[4]) == [
        "weak ¦ labels",
        "0.125",  # one file for all seeds has no spread
        "70.0",
        "55.0 ± 7.1 [40.0, 60.0]",
        "0.69 ± 0.09",
        "55.0 (quoted)",
    ]
    assert cells(lines[5]) == ["full", "–", "–", "80.0 ± 0.0 [40.0, 60.0]", "1.00 ± 0.00", "–"]
    assert lines[7] == (
        "Mean ± standard deviation over seeds 0, 1. In brackets: 95 % interval by bootstrap over"
        " images, mean of the seeds. labels: train, 112 images; predictions: val, 54 images."
    )
    assert lines[9:] == ["Mind.", "", "![each seed, mean and standard deviation](t.png)"]
    with outputs["csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 + 2 * 1
    assert rows[2]["column"] == "predictions.miou"
    assert float(rows[2]["value"]) == 0.5
    assert Image.open(outputs["png"]).size[0] > 300


def test_one_seed_has_no_spread(specification):
    data = pd.DataFrame(
        [
            {
                "row": name,
                "label": name,
                "seed": 3,
                "column": "predictions.miou",
                "target": "predictions",
                "split": "val",
                "images": 7,
                "source": name,
                "value": value,
                "low": None,
                "high": None,
            }
            for name, value in (("weak", 0.25), ("full", 0.5))
        ]
    )
    text = markdown(specification | {"columns": ["predictions.miou"]}, data)
    assert cells(text.splitlines()[4])[1:3] == ["25.0", "0.50"]
    assert "Seed 3." in text


def test_without_truth_a_table_has_dashes(tmp_path, specification):
    nothing = score_file(tmp_path / "n.json", miou=None, miou_interval=[None, None], images=0)
    for row in specification["rows"]:
        for seed in row["scores"].values():
            seed |= {"labels": None, "predictions": nothing, "classifier": None}
    where = {"output": tmp_path / "a", "text": tmp_path / "b", "plot": tmp_path / "c"}
    tabulate.tabulate(specification=json.dumps(specification), **where)
    assert cells((tmp_path / "b").read_text().splitlines()[4])[1:5] == ["–"] * 4


def test_the_texts_of_a_plot_do_not_overlap(tmp_path, monkeypatch):
    drawn = []

    def draw(figure, path):
        figure.canvas.draw()
        texts = [axes.title for axes in figure.axes]
        texts += figure.axes[0].get_yticklabels()
        drawn.extend(text.get_window_extent() for text in texts)

    monkeypatch.setattr(figures, "_save", draw)
    label = "two, the second from masks restricted to true labels, after the CRF"
    panels = {"predictions after the CRF: mIoU, %": [1.0], "relabelled: mIoU, %": [2.0]}
    figures.plot_seeds(dict.fromkeys((label, label + "!"), panels), tmp_path / "p", title="t")
    assert len(drawn) == 4
    assert not any(a.overlaps(b) for a, b in itertools.combinations(drawn, 2))


def test_the_panels_of_a_plot_have_the_order_of_the_columns(tmp_path, monkeypatch, specification):
    drawn = {}

    def keep(rows, path, *, title):
        drawn.update(rows)
        path.touch()

    monkeypatch.setattr(tabulate, "plot_seeds", keep)
    specification["rows"].reverse()  # the first row now has no labels
    tabulate.tabulate(
        specification=json.dumps(specification | {"columns": ["labels.miou", "predictions.miou"]}),
        output=tmp_path / "a",
        text=tmp_path / "b",
        plot=tmp_path / "c",
    )
    titles = ["labels: mIoU, %", "predictions: mIoU, %"]
    assert [list(row) for row in drawn.values()] == [titles, titles]
    assert next(iter(drawn.values()))[titles[0]] == []


def test_a_page_of_tables(tmp_path):
    for step, losses in ((1, "0.3 0.1"), (2, "0.4 0.2")):
        for seed in (0, 1):
            path = tmp_path / f"s{seed}" / f"step{step}" / "curve.csv"
            path.parent.mkdir(parents=True)
            rows = "".join(f"{epoch},{loss}\n" for epoch, loss in enumerate(losses.split(), 1))
            path.write_text(f"epoch,loss\n{rows}")
    texts = [tmp_path / "a.md", tmp_path / "b.md"]
    for path in texts:
        path.write_text(f"### {path.stem}\n")
    collect_tables.collect_tables(
        texts=texts,
        curves=sorted(tmp_path.rglob("curve.csv")),
        name="mine",
        command="snakemake x",
        output=tmp_path / "page.md",
        plot=tmp_path / "losses.png",
    )
    assert (
        (tmp_path / "page.md").read_text()
        == "## mine\n\n`snakemake x`\n\n### a\n\n### b\n\n![training losses by step](losses.png)\n"
    )
    assert Image.open(tmp_path / "losses.png").size[0] > 300


def write_truth(tmp_path, truth):
    """Write the manifest of these masks; the classes have VOC's numbers 3 and 8."""
    entries = []
    for number, mask in enumerate(truth):
        path = tmp_path / f"truth{number}.png"
        Image.fromarray(np.array(mask, np.uint8)).save(path)
        size, digest = np.shape(mask), digest_of(path)
        entries.append(MaskEntry(f"x{number}", path.name, *size, digest))
    manifest = TruthManifest("test", ("bird", "cat"), (3, 8), tuple(entries))
    write_manifest(tmp_path / "manifest.json", manifest)
    return tmp_path / "manifest.json"


def predictions(tmp_path, masks):
    with writing_shard(tmp_path / "0.h5", kind="predictions", facts={}) as writer:
        for number, mask in enumerate(masks):
            writer.add(f"x{number}", Record({"mask": np.array(mask, np.uint8)}))
    return [tmp_path / "0.json"]


def test_the_voc_archive_has_the_servers_layout_and_palette(tmp_path):
    masks = [[[0, 1, 2]], [[2, 2, 0]]]
    manifest, store = write_truth(tmp_path, masks), predictions(tmp_path, masks)
    digests = set()
    config = settings_of("pack_voc_test")
    for name in ("one.tar.gz", "two.tar.gz"):
        pack_voc_test.pack_voc_test(config, truth=manifest, masks=store, output=tmp_path / name)
        digests.add((tmp_path / name).read_bytes())
    assert len(digests) == 1
    with tarfile.open(tmp_path / "one.tar.gz") as archive:
        archive.extractall(tmp_path / "out", filter="data")
    folder = tmp_path / "out/results/VOC2012/Segmentation/comp6_test_cls"
    assert sorted(path.name for path in folder.iterdir()) == ["x0.png", "x1.png"]
    image = Image.open(folder / "x0.png")
    assert image.mode == "P"
    assert np.asarray(image).tolist() == [[0, 3, 8]]
    # VOC's colours of background, bird and cat
    assert np.asarray(image.convert("RGB"))[0].tolist() == [[0, 0, 0], [128, 128, 0], [64, 0, 0]]
    config = settings_of("pack_voc_test", {"evaluation": {"voc_competition": "comp5"}})
    pack_voc_test.pack_voc_test(config, truth=manifest, masks=store, output=tmp_path / "c.tar.gz")
    with tarfile.open(tmp_path / "c.tar.gz") as archive:
        assert "comp5_test_cls" in archive.getnames()[0]


def test_a_score_file_literally(tmp_path):
    truth = [[[0, 0, 3, 3]], [[255, 8, 8, 0]]]
    masks = [[[0, 1, 1, 1]], [[0, 2, 255, 0]]]
    manifest, store = write_truth(tmp_path, truth), predictions(tmp_path, masks)
    about = {"target": "predictions", "variant": "main", "seed": 4, "step": None}
    config = settings_of("score", {"evaluation": {"resamples": 20}}, target="labels")
    score.score(
        config, truth=manifest, root=tmp_path, store=store, **about, output=tmp_path / "score.json"
    )
    found = json.loads((tmp_path / "score.json").read_text())
    assert found["split"] == "test"
    assert found["images"] == 2
    assert found["confusion"] == [[2, 1, 0, 0], [0, 2, 0, 0], [0, 0, 1, 1]]
    assert found["iou"] == pytest.approx({"background": 2 / 3, "bird": 2 / 3, "cat": 1 / 2})
    assert found["precision"] == pytest.approx({"background": 1, "bird": 2 / 3, "cat": 1})
    assert found["recall"] == pytest.approx({"background": 2 / 3, "bird": 1, "cat": 1 / 2})
    assert found["area"] == 4 / 7
    assert found["coverage"] == 6 / 7
    assert found["error"] == 1 / 6
    assert found["missed"] == 0
    low, high = found["miou_interval"]
    assert low <= found["miou"] <= high


def test_without_true_masks_every_measure_is_null(tmp_path):
    manifest, store = write_truth(tmp_path, []), predictions(tmp_path, [[[0]]])
    about = {"variant": "main", "seed": 4, "step": None, "output": tmp_path / "score.json"}
    config = settings_of("score", target="labels")
    score.score(config, truth=manifest, root=tmp_path, store=store, target="predictions", **about)
    found = json.loads(Path(tmp_path / "score.json").read_text())
    assert found["miou"] is None
    assert found["miou_interval"] == [None, None]
    assert set(found["boundary_f"].values()) == {None}
