"""The number of shards does not change results."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from conftest import ROOT, new_project, run_snakemake
from test_kill import digests

from aepsl.stages._options import parse_paths
from aepsl.stores.records import Store
from aepsl.workflow.plan import Plan
from aepsl.workflow.shards import shards_for

MORE = {
    "mining": {"area": 0.1},
    "variants": {
        "again": {"segmentation": {"relabel_rounds": 1}, "saliency": {"method": "none"}},
        "better": {
            "mining": {"saliency_loss": 1},
            "labels": {"method": "blend", "crf": True},
            "crf": {"method": "local"},
        },
    },
}
"""Every store that a run can have: calibrated steps, PSL++, no saliency, blended labels."""

MODELS = ("mini/classifier", "mini/segmentation", "mini/scores.json", "mini/scores.csv")


def made(folder, shards):
    """Return the digest of each model and table, and of each record, wherever it lies."""
    (folder / "more.yaml").write_text(yaml.safe_dump(MORE | {"runtime": {"shards": shards}}))
    shutil.copy(ROOT / "tests" / "mini.yaml", folder)
    run_snakemake(folder, "--configfile", "mini.yaml", "more.yaml")
    found = {name: d for name, d in digests(folder).items() if name.startswith(MODELS)}
    for store in sorted({path.parent for path in folder.glob("results/mini/**/*.h5")}):
        parts = sorted(store.glob("[0-9]*.json"), key=lambda path: int(path.stem))
        assert len(parts) == (1 if "shown" in store.parts else shards)  # few images, by choice
        records = Store(parts, kind=None)
        for image_id in records.ids():
            found[f"{store.relative_to(folder)} {image_id}"] = records.digest(image_id)
    return found


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param((1, 2), id="two", marks=pytest.mark.slow),
        pytest.param((1, 2, 7), id="seven", marks=pytest.mark.long),
    ],
)
def test_any_number_of_shards_makes_the_same(tmp_path, numbers):
    """Of 10 images to train on and 6 to predict: the seventh shard of these is empty."""
    results = []
    for shards in numbers:
        (folder := tmp_path / str(shards)).mkdir()
        results.append(made(new_project(folder), shards))
    assert all(result == results[0] for result in results[1:])
    assert any("relabel" in name for name in results[0])
    assert any(name.endswith(".safetensors") for name in results[0])


def job(**wildcards):
    return SimpleNamespace(name="main", **wildcards)


def test_a_job_reads_its_part_of_each_store():
    inputs = Plan({"runtime": {"shards": 12}}).inputs("extract_cams")
    assert inputs["regions"](job(shard="11", step="2")) == [
        "results/scenes/regions/main/step1/11.json"
    ]
    assert inputs["regions"](job(shard="11", step="1")) == ["results/scenes/regions/step0/0.json"]


def test_blended_labels_read_their_part_of_the_maps_of_each_step():
    config = {"labels": {"method": "blend"}, "mining": {"steps": 2}, "runtime": {"shards": 12}}
    inputs = Plan(config).inputs("assemble_labels")
    maps = [f"results/scenes/cams/main/step{step}/11.json" for step in (1, 2)]
    assert inputs["cams"](job(shard="11")) == maps
    assert inputs["regions"](job(shard="11")) == []
    inputs = Plan({}).inputs("assemble_labels")
    assert inputs["cams"](job(shard="0")) == []
    assert inputs["regions"](job(shard="0")) == ["results/scenes/regions/main/step3/0.json"]


def test_where_results_are_fetched_their_data_are_named_too():
    plan = Plan({"runtime": {"shards": 2}}, on_object_storage=True)
    part = plan.inputs("erase_regions")["cams"](job(shard="1", step="2"))
    assert part == [f"results/scenes/cams/main/step2/1.{kind}" for kind in ("json", "h5")]
    assert parse_paths(" ".join(part)) == [Path(part[0])]
    assert len(plan.inputs("calibrate_delta")["cams"](job(step="2"))) == 4


@pytest.mark.parametrize(
    ("images", "shards"),
    [(0, 1), (1, 1), (1000, 1), (1001, 2), (10_582, 11), (200_000, 200), (10**9, 200)],
)
def test_shards_by_the_number_of_images(images, shards):
    assert shards_for(images) == shards
