"""The real Snakemake on a miniature of the scenes: a full run, then reruns after changes."""

import csv
import hashlib
import json
import re
import shutil
import tarfile
from pathlib import Path

import dry_run
import pytest
import yaml
from conftest import new_project

MINI = Path(__file__).parent / "mini.yaml"


def planned(folder, *arguments):
    """Return how many jobs of each rule a dry run plans."""
    plan = dry_run.plan(folder, *arguments, "--configfile", "mini.yaml")
    assert plan.status == 0, plan.text
    assert plan or "Nothing to be done" in plan.text
    return plan


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".h5", ".safetensors", ".json", ".csv", ".html", ".js", ".webp", ".png")
        and path.name != "times.js"
    }


@pytest.fixture
def finished(finished_miniature, tmp_path):
    """Return a project in which the miniature has run from clean to scores; the test's own."""
    return shutil.copytree(finished_miniature, tmp_path / "finished")


def test_from_clean_to_scores(finished):
    folder, output = finished, (finished / "output.txt").read_text()
    scores = json.loads((folder / "results/mini/scores.json").read_text())
    rows = [(row["target"], row["variant"], row["step"], row["split"]) for row in scores]
    refined = [("predictions_crf", name, None, "val") for name in ("main", "truth")]
    assert sorted(map(str, rows)) == sorted(
        map(
            str,
            [
                ("regions", "main", 1, "train"),
                ("regions", "main", 2, "train"),
                ("labels", "main", None, "train"),
                *(("predictions", name, None, "val") for name in ("main", "truth")),
                *refined,
            ],
        )
    )
    for row in scores:
        assert row["images"] == (10 if row["split"] == "train" else 6)
        assert 0 <= row["miou"] <= 1
        assert list(row["iou"]) == ["background", "red", "green", "yellow", "blue", "violet"]
    with (folder / "results/mini/scores.csv").open(newline="") as file:
        assert [row["target"] for row in csv.DictReader(file)] == [r["target"] for r in scores]
    assert "mined regions, step 2" in output
    assert "report/index.html" in output.replace("\n", "")


def test_the_report_opens_from_disk(finished):
    report = finished / "results/mini/report"
    page = (report / "index.html").read_text()
    files = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert {"report.css", "gallery.js", "data/0000.js", "data/times.js"} <= set(files)
    for name in files:
        assert name == "data:," or (report / name).stat().st_size > 100
    assert "http" not in page
    assert len(list((report / "pictures").rglob("*.webp"))) == 10 + 6
    assert '"stage":"train_classifier","jobs":2' in (report / "data/times.js").read_text()


@pytest.mark.slow
def test_the_archive_for_vocs_server_is_a_target(finished, snakemake):
    snakemake(finished, "results/mini/voc_test/main.tar.gz", "--configfile", "mini.yaml")
    with tarfile.open(finished / "results/mini/voc_test/main.tar.gz") as archive:
        names = archive.getnames()
    assert len(names) == 6
    assert names[0] == "results/VOC2012/Segmentation/comp6_test_cls/val_0000.png"


def test_then_nothing_to_be_done(finished):
    assert planned(finished) == {}
    for path in [*(finished / "rules").iterdir(), finished / "Snakefile", finished / "config.yaml"]:
        path.touch()
    assert planned(finished, "--config", 'runtime={"workers": 3, "device": "cpu"}') == {}


def test_moved_and_touched_results_are_results(finished, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(finished, moved)
    for path in sorted(moved.rglob("*")):
        if ".snakemake" not in path.parts:
            path.touch()
    assert planned(moved, "--cores", "1") == {}


RERUNS = {
    'mining={"delta": 0.4}': {
        "erase_regions": 2,
        "train_classifier": 1,  # the first step's stays
        "extract_cams": 1,
        "assemble_labels": 1,
        "train_segmentation": 1,  # that on true labels stays
        "predict": 1,
        "predict_shown": 1,
        "refine_predictions": 1,
        "score": 5,
        "summarise": 1,
        "report": 1,
        "all": 1,
    },
    'crf={"bilateral_xy": 60}': {
        "refine_predictions": 2,
        "score": 2,
        "summarise": 1,
        "report": 1,
        "all": 1,
    },
    'prediction={"palette_png": true}': {"export_masks": 2, "all": 1},
}


@pytest.mark.parametrize("change", RERUNS)
def test_a_changed_setting_reruns_the_stages_that_read_it(finished, change):
    assert planned(finished, "--config", change) == RERUNS[change]


@pytest.mark.slow
def test_what_failed_jobs_removed_is_made_again_although_scores_exist(finished, snakemake):
    change = ("--config", 'crf={"bilateral_xy": 60}')
    results = finished / "results/mini"
    stores = {path: path.read_bytes() for path in results.glob("predictions/*/0.h5")}
    for path, content in stores.items():
        path.write_bytes(content[:-1])
    failed = snakemake(finished, "--configfile", "mini.yaml", *change, "--keep-going", check=False)
    assert failed.returncode == 1
    assert not list(results.glob("crf/*/0.json"))
    assert (results / "scores/main/predictions_crf.json").exists()
    for path, content in stores.items():
        path.write_bytes(content)
    rerun = {"refine_predictions": 2, "score": 2, "summarise": 1, "report": 1, "all": 1}
    assert planned(finished, *change) == rerun
    (results / "classifier/main/step1/model.safetensors").unlink()
    assert planned(finished, *change)["train_classifier"] == 2


@pytest.mark.slow
def test_the_same_command_gives_the_same_bytes(finished, snakemake):
    results = finished / "results" / "mini"
    before = digests(results)
    again = ("--forcerun", "train_classifier", "train_segmentation", "detect_saliency")
    other = ("--cores", "1", "--config", 'runtime={"workers": 1}')
    snakemake(finished, "--configfile", "mini.yaml", *again, *other)
    assert digests(results) == before


@pytest.mark.slow
def test_results_without_snakemakes_metadata_are_reported(finished, snakemake):
    shutil.rmtree(finished / ".snakemake")
    output = dry_run.plan(finished, "--configfile", "mini.yaml").text
    assert "results/mini exists, but .snakemake/ does not" in output
    snakemake(finished, "--configfile", "mini.yaml", "--touch", "--forceall")
    output = dry_run.plan(finished, "--configfile", "mini.yaml").text
    assert "but .snakemake/ does not" not in output
    assert "Nothing to be done" in output


def test_threads_are_those_of_the_configuration_whatever_the_cores(finished, snakemake):
    options = ("--configfile", "mini.yaml", "--config", 'runtime={"threads": 2}', "--cores", "1")
    output = snakemake(finished, *options, "-n", "-p", "--forcerun", "train_classifier").stdout
    commands = [line for line in output.splitlines() if "aepsl train-classifier" in line]
    assert len(commands) == 2
    assert all("--threads 2 " in command for command in commands)


def test_a_wrong_key_is_refused_before_anything_runs(finished, snakemake):
    options = ("--configfile", "mini.yaml", "--config", 'mining={"dleta": 0.4}')
    result = snakemake(finished, *options, check=False)
    text = result.stdout + result.stderr
    assert result.returncode != 0
    assert "mining.dleta: unknown key" in text
    assert "did you mean delta?" in text
    assert "Traceback" not in text


ALL_TABLES = {
    # Of 3 seeds: AE steps 1-4 of 4 classifiers, and one more for each of 5 other ways to erase;
    # both steps with each class decided alone; suppressed, with saliency as supervision, the best.
    "train_classifier": 3 * (4 + 5 + 2 + 3) - 2,
    "extract_cams": 3 * (4 + 5 + 2 + 3) - 2,
    "calibrate_delta": 3 * 3 * 2,
    "erase_regions": 3 * (4 + 5 * 2 + 2 + 3) - 2,
    # Where each class is decided alone, a training photograph may show none.
    "index_images": 1,
    "index_truth": 1,
    "copy_true_labels": 1,
    "detect_saliency": 1,
    # 1-4 steps, 5 other ways to erase, no saliency, two thresholds, 6 better ones; one is there.
    "assemble_labels": 3 * (4 + 5 + 1 + 2 + 6) - 1,
    # 1-4 steps without PSL, four with it, true masks with either label loss, no saliency, better
    # labels; one of seed 0 is there.
    "train_segmentation": 3 * (4 + 4 + 2 + 1 + 6) - 1,
    "relabel": 3 * 2,
    "predict": 3 * (4 + 4 + 2 + 1 + 6) - 1,
    # Better labels, the paper's and true masks; one is there.
    "refine_predictions": 3 * (6 + 1 + 1) - 1,
    # Regions, labels, masks of two PSL++, predictions, refined ones, and saliency once; five are
    # there.
    "score": 3 * (4 + 5 + 4 + 18 + 2 + 17 + 8) + 1 - 5,
    "tabulate": 7,
    "collect_tables": 1,
    "ablations": 1,
}


def test_ablations_run_each_shared_stage_once(finished):
    assert planned(finished, "ablations") == ALL_TABLES


@pytest.mark.parametrize(
    ("seeds", "note"),
    [
        pytest.param(["0"], "Seed 0.", id="one seed", marks=pytest.mark.slow),
        pytest.param(["0", "1"], "seeds 0, 1", id="two seeds", marks=pytest.mark.long),
    ],
)
def test_two_tables_from_a_finished_run(finished, snakemake, seeds, note):
    settings = yaml.safe_load(MINI.with_name("two_tables.yaml").read_text())
    settings["ablations"]["seeds"] = [int(seed) for seed in seeds]
    (finished / "two_tables.yaml").write_text(yaml.safe_dump(settings))
    snakemake(finished, "ablations", "--configfile", "mini.yaml", "two_tables.yaml")
    made = finished / "results/mini/ablations"
    page = (made / "tables.md").read_text()
    assert "`snakemake --cores N ablations --configfile mini.yaml two_tables.yaml`" in page
    assert "| PSL++" in page
    assert "predictions: val, 6 images" in page
    assert note in page
    with (made / "psl.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted({row["seed"] for row in rows}) == seeds
    assert len(rows) == (2 * 2 + 1) * len(seeds)  # PSL++ also scores its masks
    for row in rows:
        if (row["row"], row["seed"], row["column"]) == ("psl", "0", "predictions.miou"):
            score = json.loads((finished / "results/mini/scores/main/predictions.json").read_text())
            assert float(row["value"]) == score["miou"]
    for picture in ("psl.png", "bounds.png", "losses.png"):
        assert (made / picture).stat().st_size > 5000


CURVE = "epoch,loss,recall,learning_rate\n1,0.4,0.2,0.1\n2,{loss},{recall},0.1\n"


@pytest.mark.slow
def test_auto_stops_at_a_made_up_curve(finished, snakemake):
    folder = finished
    alone = MINI.read_text().partition("variants:")[0]
    (folder / "mini.yaml").write_text(alone)
    steps = folder / "results/mini/classifier/main"
    (steps / "step1/curve.csv").write_text(CURVE.format(loss=0.01, recall=0.9))
    (steps / "step2/curve.csv").write_text(CURVE.format(loss=0.01, recall=0.3))
    auto = ("--config", 'mining={"steps": "auto", "max_steps": 3}')
    result = snakemake(folder, "--configfile", "mini.yaml", *auto)
    verdicts = [
        json.loads((folder / f"results/mini/success/main/step{step}/verdict.json").read_text())
        for step in (1, 2)
    ]
    assert [verdict["success"] for verdict in verdicts] == [True, False]
    assert verdicts[1]["reason"] == "recall 0.30 is below 0.5"
    page = (folder / "results/mini/report/index.html").read_text()
    assert "recall 0.30 is below 0.5" in page
    shown = (folder / "results/mini/report/data/0000.js").read_text()
    assert '["cam",1,' in shown
    assert '["cam",2,' not in shown
    assert "mined regions, step 1" in result.stdout
    assert "mined regions, step 2" not in result.stdout
    for more, reruns in (
        ("", set()),
        (', "max_steps": 2', set()),
        (', "success": {"loss": 0.5}', {"judge_training"}),
        (', "success": {"recall": 0.4}', {"judge_training"}),
    ):
        change = f'mining={{"steps": "auto", "max_steps": 3{more}}}'
        planning = planned(folder, "--config", change)
        assert set(planning) & {"judge_training", "train_classifier"} == reruns, more


@pytest.mark.parametrize("name", ["labelled", "relabelled", "regions"])
def test_a_score_of_another_name_is_no_target(tmp_path, name):
    """A round or a step is missing: a job that looked for it would look for the one before."""
    file = f"results/mini/scores/main/{name}.json"
    plan = dry_run.plan(new_project(tmp_path), file, "--configfile", str(MINI))
    assert plan.status == 1
    assert f"No rule to produce {file}" in plan.text


@pytest.mark.long
def test_resnet_and_deeplabv3plus_go_the_same_way(finished, snakemake, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("results", ".snakemake"))
    (folder / "resnet.yaml").write_text(
        "networks: { backbone: timm/resnet18, stride: 16, width: 1 }\n"
        "mining: { head: none, cam_scales: [1, 1.5], cam_flip: true }\n"
        "segmentation: { head: deeplabv3plus, relabel_rounds: 1, train: { optimizer: adamw } }\n"
    )
    result = snakemake(folder, "--configfile", "mini.yaml", "resnet.yaml")
    assert "pseudo-labels, relabelled" in result.stdout
    assert "predictions after the CRF" in result.stdout
