"""The report in a real browser: what it shows, how it answers, and that it needs nothing else."""

import csv
import json
import subprocess
import sys
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pytest
from conftest import VocFolder, settings_of, shared_folder
from PIL import Image
from playwright.sync_api import Error, sync_playwright

from aepsl.report.gallery import Shown, entry
from aepsl.report.page import write_page, write_pictures
from aepsl.report.palettes import safe_palette
from aepsl.stores.records import Record, writing_shard

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="module")
def browser():
    """Return a browser: Debian's, or the one that Playwright has installed."""
    with sync_playwright() as playwright:
        start = playwright.chromium.launch
        try:
            started = start(executable_path=CHROMIUM, args=["--no-sandbox"])
        except Error:
            try:
                started = start(args=["--no-sandbox"])
            except Error:
                pytest.skip("no chromium (Debian: apt-get install chromium)")
        yield started
        started.close()


@pytest.fixture
def opened(browser):
    """Return a function that opens a page, and check that it loads only files, without errors."""
    contexts, wrong = [], []

    def open_page(path, address="", **options):
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.accept()))
        page.on("requestfailed", lambda request: wrong.append(request.url))
        allowed = (path.parent.as_uri(), "data:")
        page.on("request", lambda r: r.url.startswith(allowed) or wrong.append(r.url))
        page.goto(path.as_uri() + address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def records_of(page_path):
    """Return the records of a page, from its files of data."""
    found = []
    for path in sorted((page_path.parent / "data").glob("[0-9]*.js")):
        text = path.read_text()
        head, tail = "aepsl.images.push(", ");\n"
        assert text.startswith(head)
        assert text.endswith(tail)
        found += json.loads(f"[{text[len(head) : -len(tail)]}]")
    return found


@pytest.fixture(scope="module")
def run(finished_miniature):
    """Return the page of a finished run, and its records."""
    page = finished_miniature / "results/mini/report/index.html"
    return SimpleNamespace(page=page, records=records_of(page))


def ids_on(page):
    return page.locator(".card .name").all_text_contents()


def choose(page, name, value):
    page.select_option(f"#tools [name={name}]", value)


# What is on the page


def test_the_first_screen_has_the_score_and_the_verdict(opened, run):
    page = opened(run.page)
    scores = json.loads((run.page.parent.parent / "scores.json").read_text())
    final = next(r for r in scores if (r["target"], r["variant"]) == ("predictions_crf", "main"))
    assert page.locator(".score strong").inner_text() == f"{100 * final['miou']:.1f} %"
    lead = page.locator(".lead").inner_text().replace("\xa0", " ")
    assert "on 6 images (95 % interval" in lead
    assert "The 2 variants reach" in page.locator(".verdict").inner_text()
    for part in (".score", ".lead", "#stages svg", "#times svg"):
        box = page.locator(part).bounding_box()
        assert box["y"] + box["height"] <= 900, part
    assert page.locator("#times").get_by_text("train classifier").is_visible()


def test_every_image_has_a_card_and_every_picture_loads(opened, run):
    page = opened(run.page)
    assert sorted(ids_on(page)) == sorted(image["id"] for image in run.records)
    assert len(run.records) == 10 + 6
    loaded = page.evaluate("""async () => {
        const files = [...document.images].map((image) => image.src);
        for (const layer of document.querySelectorAll(".layer"))
            files.push(layer.style.backgroundImage.slice(5, -2));
        return Promise.all(files.map(async (src) => {
            const image = new Image();
            image.src = src;
            await image.decode();
            return image.naturalWidth;
        }));
    }""")
    assert len(loaded) == 2 * 16
    assert all(loaded)


def test_predicted_training_images_are_shown_with_their_prediction(run):
    predicted = [r for r in run.records if r["split"] == "train" and ["prediction"] in r["layers"]]
    assert len(predicted) == 2  # report.predictions
    for record in run.records:
        assert record["judged"] == {"train": "label", "eval": "crf"}[record["split"]] or (
            record in predicted and record["judged"] == "prediction"
        )
        assert ("disagreement" in record) == (record["split"] == "eval" or record in predicted)
        assert ("reasons" in record) == (record["split"] == "train")


# Filters and sorts


@pytest.mark.parametrize(
    ("field", "value", "keep"),
    [
        ("split", "eval", lambda r: r["split"] == "eval"),
        ("class", "2", lambda r: 2 in r["labels"] + r["found"] + [k for k, _ in r["by_class"]]),
        ("cause", "missed", lambda r: "missed" in [cause for cause, _ in r["causes"]]),
        ("cause", "none", lambda r: r["causes"] == []),
    ],
)
def test_filters(opened, run, field, value, keep):
    page = opened(run.page)
    expected = [r["id"] for r in run.records if keep(r)]
    if not expected:
        assert page.locator(f"#tools [name={field}] option[value={value}]").count() == 0
        return
    choose(page, field, value)
    assert sorted(ids_on(page)) == sorted(expected)
    assert f" of {len(expected)} images" in page.locator("#count").inner_text()


def test_a_part_of_the_name_finds_images(opened, run):
    page = opened(run.page)
    page.get_by_label("Name").fill("AL_0003")
    assert ids_on(page) == ["val_0003"]
    page.get_by_label("Name").fill("no such image")
    assert ids_on(page) == []
    assert page.locator("#count").inner_text() == "none of 16 images"


@pytest.mark.parametrize(
    ("sort", "sign"), [("iou", 1), ("ignored", -1), ("disagreement", -1), ("confidence", 1)]
)
def test_sorts(opened, run, sort, sign):
    page = opened(run.page)
    choose(page, "sort", sort)
    number = {r["id"]: k for k, r in enumerate(run.records)}
    having = [r for r in run.records if r.get(sort) is not None]
    assert len(having) > 1
    expected = sorted(having, key=lambda r: (sign * r[sort], number[r["id"]]))
    assert ids_on(page)[: len(having)] == [r["id"] for r in expected]
    assert len(ids_on(page)) == len(run.records)


def test_the_findings_of_the_summary_filter_the_gallery(opened, run):
    page = opened(run.page)
    link = page.locator(".findings a").first
    count = int(link.inner_text().split()[0])
    link.click()
    page.wait_for_function("document.querySelector('#tools [name=cause]').value !== ''")
    assert len(ids_on(page)) == count


# Masks


def test_the_slider_and_a_key_change_the_opacity_of_the_masks(opened, run):
    page = opened(run.page)

    def opacity():
        return page.evaluate("getComputedStyle(document.querySelector('.card .layer')).opacity")

    assert opacity() == "0.6"
    page.get_by_label("Opacity of the masks").fill("0.25")
    assert opacity() == "0.25"
    page.locator("body").press("o")
    assert opacity() == "0"
    page.locator("body").press("o")
    assert opacity() == "0.25"


def many_classes(folder, classes):
    """Write the page of one photograph whose mask has every class, in squares of 4 x 4 pixels."""
    mask = np.zeros((4, 4 * classes), np.uint8)
    mask[:] = np.repeat(np.arange(classes), 4)
    photograph = np.full((*mask.shape, 3), 200, np.uint8)
    made = entry(Shown("a", "eval", [1], photograph, prediction=mask), classes=classes)
    write_pictures(folder, 0, made)
    palettes = {"voc": [[k, 255 - k, 7 * k % 256] for k in range(classes)]}
    palettes["safe"] = safe_palette(classes).tolist()
    run = {"classes": [str(k) for k in range(classes)], "mean_pixel": [1, 2, 3]}
    run |= {"palettes": palettes, "scores": [], "confusion": [], "variant": "main"}
    run |= {"curves": []}
    summary = {"run": "r", "variant": "main", "seed": 0, "train_split": "t", "eval_split": "e"}
    summary |= {"verdicts": [], "final": None, "sentences": ["x"], "findings": [], "details": []}
    summary |= {
        "detector": "",
        "train_images": 0,
        "eval_images": 1,
        "shown": {"train": 0, "eval": 1},
    }
    text = write_page(folder, summary=summary, run=run, records=[made.record], times=[])
    (folder / "index.html").write_text(text)
    return folder / "index.html", palettes


@pytest.mark.parametrize("classes", [3, 21, 60])
def test_masks_have_the_colours_of_the_palette(opened, tmp_path, classes):
    path, palettes = many_classes(tmp_path / "page", classes)
    page = opened(path)
    page.get_by_label("Opacity of the masks").fill("1")
    card = page.locator(".card .picture")
    page.add_style_tag(
        content=f".card {{ grid-column: 1 / -1; }} .card .picture {{ width: {8 * classes}px;"
        " border-radius: 0; }"
    )
    for name, colours in palettes.items():
        page.select_option("#palette", name)
        page.wait_for_timeout(100)
        card.screenshot(path=tmp_path / "card.png")
        pixels = np.asarray(Image.open(tmp_path / "card.png").convert("RGB"))
        assert pixels[4, 4].tolist() == pytest.approx([200, 200, 200], abs=4)  # the photograph
        seen = pixels[4, 12::8][: classes - 1].astype(int)
        assert np.abs(seen - colours[1:]).max() <= 1, name


def test_a_class_of_the_legend_is_seen_alone(opened, run):
    page = opened(run.page)
    alphas = "document.querySelector('#classes feFuncA').getAttribute('tableValues').split(' ')"
    assert set(page.evaluate(alphas)[1:6]) == {"1.0000"}
    page.locator("#legend button").nth(1).hover()
    assert page.evaluate(alphas)[2] == "1.0000"
    assert len(set(page.evaluate(alphas)[1:6])) == 2


# Keys and addresses


def test_keys_move_open_and_close(opened, run):
    page = opened(run.page)
    focused = "document.activeElement.querySelector('.name')?.textContent"
    ids = ids_on(page)
    page.locator("body").press("j")
    assert page.evaluate(focused) == ids[0]
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.evaluate(focused) == ids[1]
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog#image[open]")
    assert page.locator("#image h2").inner_text() == ids[1]
    page.keyboard.press("j")
    assert page.locator("#image h2").inner_text() == ids[2]
    page.keyboard.press("Escape")
    # The browser first focuses the card that opened the dialog; "close" comes a task later.
    page.wait_for_function(f"{focused} === {ids[2]!r}", timeout=5_000)
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    page.get_by_label("Name").press("j")  # in a field, a letter is text
    assert page.get_by_label("Name").input_value() == "j"


def test_an_address_shows_the_same_view(opened, run):
    page = opened(run.page)
    choose(page, "split", "train")
    choose(page, "sort", "ignored")
    choose(page, "over", "saliency")
    page.locator(".card a").nth(1).click()
    page.wait_for_selector("dialog#image[open]")
    address = page.evaluate("location.hash")
    again = opened(run.page, address)
    for shown in (page, again):
        assert shown.locator("#image h2").inner_text() == ids_on(page)[1]
        assert shown.locator("#tools [name=over]").input_value() == "saliency"
    assert ids_on(again) == ids_on(page)
    assert len(ids_on(page)) == 10
    assert opened(run.page, "#sort=none&page=x&image=train/none").locator(".card").count() == 16


def test_an_opened_training_image_shows_every_stage(opened, run):
    record = next(r for r in run.records if ["prediction"] in r["layers"] and r["reasons"])
    page = opened(run.page, f"#image=train/{record['id']}")
    captions = page.locator(".tile figcaption").all_inner_texts()
    cams = [layer for layer in record["layers"] if layer[0] == "cam"]
    assert sum(caption.startswith("CAM, step") for caption in captions) == len(cams)
    for text in (
        "photograph",
        "mined up to step 2",
        "erased after step 1",
        "saliency",
        "prediction",
    ):
        assert text in captions
    assert any(caption.startswith("label; ignored pixels are hatched") for caption in captions)
    assert "true mask" in captions
    before = page.locator(".tile .picture").first.bounding_box()["width"]
    page.get_by_label("Larger pictures").click()
    assert page.locator(".tile .picture").first.bounding_box()["width"] > before


# Plots


def test_plots_tell_their_values_to_mouse_and_keyboard(opened, run):
    page = opened(run.page)
    figure = page.locator("#by-class")
    tip = figure.locator(".tip")
    assert not tip.is_visible()
    figure.locator("svg").focus()
    page.keyboard.press("ArrowRight")
    assert tip.inner_text().startswith("background: IoU ")
    page.keyboard.press("End")
    assert tip.inner_text().startswith("violet: IoU ")
    page.locator("#mining-loss svg").hover()
    assert "epoch 1: " in page.locator("#mining-loss .tip").inner_text()
    page.locator("#confusion svg").focus()
    page.keyboard.press("Home")
    assert "true background, predicted background" in page.locator("#confusion .tip").inner_text()


# Theme, paper, width, access


def test_dark_and_light_follow_the_system_or_the_choice(opened, run):
    def back(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = (opened(run.page, color_scheme=scheme) for scheme in ("light", "dark"))
    assert back(light) != back(dark)
    dark.select_option("#theme", "light")
    assert back(dark) == back(light)
    dark.reload()
    assert back(dark) == back(light)  # the choice is kept


@pytest.mark.parametrize("address", ["", "#image=train/train_0000"])
def test_on_a_phone_nothing_scrolls_sideways(opened, run, address):
    page = opened(run.page, address, viewport={"width": 390, "height": 844})
    page.wait_for_timeout(300)
    inside = "(node) => node.scrollWidth <= node.clientWidth"
    assert page.locator("html").evaluate(inside)
    assert page.locator("html").evaluate("node => node.scrollWidth") == 390
    if address:
        assert page.locator("#image").evaluate(inside)
        assert page.locator(".tile .picture").first.bounding_box()["width"] >= 150
        return
    assert page.locator(".card .picture").first.bounding_box()["width"] >= 150
    boxes = [card.bounding_box() for card in page.locator(".card").all()[:6]]
    for one, other in zip(boxes, boxes[2:], strict=False):
        assert one["y"] + one["height"] <= other["y"] + 1


def test_on_paper_there_is_nothing_to_click(opened, run):
    page = opened(run.page)
    page.emulate_media(media="print")
    for part in ("#tools", ".choices", "#pages"):
        assert not page.locator(part).is_visible()
    assert page.locator(".score").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", ["", "#image=train/train_0000"])
def test_assistive_technology_finds_no_barrier(opened, run, scheme, address):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(run.page, address, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    found = axe.Axe().run(page, options={"preload": False})  # of styles, which it cannot load
    assert found.violations_count == 0, found.generate_report()


# Hostile names, no truth

HOSTILE = [
    "<script>alert(1)</script>",
    "<svg/onload=alert(2)>",
    "\"><img/src=x/onerror='alert(3)'>",
    "{{7*7}}",
    "</style><script>alert(4)</script>",
    "__proto__",
]
IDS = ["<script>alert(5)", '"onerror="alert(6)', "'onload='alert(7)", "&lt;b&gt;", "a%00#b?c", "ü"]


def aepsl(folder, *arguments):
    result = subprocess.run(
        [sys.executable, "-m", "aepsl", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def store(path, kind, arrays, **more):
    """Write a store with a record for each photograph, whose classes are all there."""
    facts = {"grid": [8, 0], "class_names": HOSTILE}
    with writing_shard(path, kind=kind, facts=facts) as writer:
        for image_id in IDS:
            record = Record(arrays, {"classes": list(range(len(HOSTILE)))} | more)
            writer.add(image_id, record)
    return path.with_suffix(".json")


def make_report(folder, *, with_truth):
    """Make the report of a run with hostile names by the real stages."""
    data = VocFolder(folder / "photographs", ids=IDS)
    data.write_split("train", IDS)
    data.write_split("val", IDS)
    if not with_truth:
        for image_id in IDS:
            data.mask(image_id).unlink()
    with data.labels.open("w", newline="") as file:
        csv.writer(file).writerows([("image", "labels"), *((i, " ".join(HOSTILE)) for i in IDS)])
    train, truth = folder / "train.json", folder / "truth.json"
    data.index(train, class_names=HOSTILE)
    data.index_truth(train, truth, class_names=HOSTILE)
    mask = {"mask": np.arange(40 * 48).reshape(40, 48).astype("u1") % (1 + len(HOSTILE))}
    everywhere = np.ones((len(HOSTILE), 40, 48), "u1")
    random = np.random.default_rng(0)
    cam = {"cam": random.random((len(HOSTILE), 5, 6)).astype("f2")}
    scores = {"scores": np.log(random.random((1 + len(HOSTILE), 5, 6))).astype("f2")}
    why = dict.fromkeys(("ignored_conflict", "ignored_low_saliency", "ignored_unclaimed"), 0)
    labels = store(folder / "labels" / "0.h5", "labels", mask, **why)
    predictions = store(folder / "predictions" / "0.h5", "predictions", mask | scores)
    regions = {"region": everywhere, "union": everywhere}
    (folder / "curve.csv").write_text("epoch,loss\n1,0.5\n2,0.25\n")
    of = ("--truth", truth, "--root", data.root)
    about = ("--variant", "main", "--seed", "0", "--output", "score.json")
    config = settings_of("score", {"evaluation": {"resamples": 10}}, target="predictions")
    wanted = ("--config", config.canonical(), "--target", "predictions")
    aepsl(folder, "score", *of, *wanted, "--store", predictions, *about)
    aepsl(folder, "summarise", "score.json", "--output", "scores.json", "--table", "scores.csv")
    aepsl(
        folder,
        *("report", "--dataset", train, "--evaluated", train, *of, "--evaluated-truth", truth),
        *("--scores", "scores.json", "--final-score", "score.json"),
        *("--cams", store(folder / "cams" / "0.h5", "cams", cam)),
        *("--regions", store(folder / "regions" / "0.h5", "regions", regions)),
        *("--saliency", "", "--labels", labels, "--shown", predictions),
        *("--predictions", predictions, "--refined", "", "--verdicts", ""),
        *("--classifier-curves", "curve.csv", "--segmentation-curve", "curve.csv"),
        *(
            "--limit",
            "4",
            "--benchmarks",
            "none",
            "--name",
            "<b>run",
            "--variant",
            "main",
            "--seed",
            "0",
        ),
        *("--output", folder / "report"),
    )


@pytest.fixture(params=[True, False], ids=["with truth", "without truth"])
def hostile(request, tmp_path_factory, worker_id):
    """Return whether there are true masks, and the report of a run with hostile names."""
    folder = shared_folder(
        tmp_path_factory,
        worker_id,
        f"hostile-{request.param}",
        lambda folder: make_report(folder, with_truth=request.param),
    )
    return request.param, folder / "report" / "index.html"


def test_a_script_would_be_noticed(browser, tmp_path):
    (tmp_path / "bad.html").write_text("<p>x</p><script>alert(1)</script><img src=x onerror=go()>")
    page, seen = browser.new_page(), []
    page.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.accept()))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.goto((tmp_path / "bad.html").as_uri())
    page.wait_for_timeout(100)
    assert seen == ["1", "go is not defined"]


@pytest.mark.slow
def test_no_name_runs_a_script_in_the_report(opened, hostile):
    with_truth, path = hostile
    page = opened(path)
    assert page.evaluate("[...document.scripts].every((script) => script.src && !script.text)")
    assert page.locator("h1").inner_text() == "<b>run"
    few = [IDS[0], IDS[1], IDS[3], IDS[4]]  # of the evaluation; all training images are predicted
    assert sorted(ids_on(page)) == sorted(IDS + few)
    counts = page.locator(".facts dd").all_inner_texts()[:2]
    assert counts == ["6 images, split train", "6 images, split train, 4 on this page"]
    for name in HOSTILE:
        assert name in page.locator("#legend").all_inner_texts()[0]
    for image_id in IDS:
        page.goto(f"{path.as_uri()}#image={quote(f'train/{image_id}')}")
        page.wait_for_function(
            "id => document.querySelector('#image[open] h2')?.textContent === id", arg=image_id
        )
    captions = " ".join(page.locator("#image .row").all_inner_texts())
    for name in HOSTILE:
        assert f"CAM, step 1: {name}" in captions
    if with_truth:
        page.keyboard.press("Escape")
        page.locator(".score-row summary").first.click()
        assert page.locator(".score-row tbody th").all_inner_texts() == ["background", *HOSTILE]


@pytest.mark.slow
def test_without_true_masks_the_page_serves_by_disagreement(opened, hostile):
    with_truth, path = hostile
    page = opened(path)
    order = page.locator("#tools [name=sort]").input_value()
    assert order == ("iou" if with_truth else "disagreement")
    assert page.locator(".score").count() == int(with_truth)
    assert ("no true masks" in page.locator(".lead").inner_text()) == (not with_truth)
    text = page.locator("#scores").inner_text()
    assert ("no scores without true masks (6 training images, 6 evaluation images)" in text) == (
        not with_truth
    )
    assert page.locator("#confusion").is_visible() == with_truth
    assert page.locator("#mining-loss").is_visible()
    title = page.locator("#histogram h3").inner_text()
    assert title == (
        "Images by their IoU" if with_truth else "Images by the disagreement between stages"
    )


# Many images


@pytest.mark.long
def test_five_thousand_images(opened, tmp_path):
    path = generated_page(tmp_path / "page", images=5000)
    page = opened(path)
    assert page.locator(".card").count() == 200
    assert page.locator("#count").inner_text() == "1 to 200 of 5000 images (5000 in all)"
    records = records_of(path)
    values = [record["iou"] for record in records]
    lowest = [f"photograph {k}" for k in np.argsort(values, kind="stable")[:200]]
    assert ids_on(page) == lowest
    page.locator("#pages").get_by_role("link", name="25", exact=True).click()
    assert page.locator("#count").inner_text() == "4801 to 5000 of 5000 images (5000 in all)"
    choose(page, "cause", "missed")
    missed = sum("missed" in [cause for cause, _ in record["causes"]] for record in records)
    assert 50 < missed < 5000
    assert f" of {missed} images (5000 in all)" in page.locator("#count").inner_text()
    loaded = page.evaluate("performance.getEntriesByType('resource').length")
    assert loaded < 20 + 3 * 2 * 60  # pictures out of sight are not loaded


def generated_page(folder, *, images):
    """Write a page of generated photographs and masks."""
    page, _ = many_classes(folder, 6)
    random = np.random.default_rng(0)
    records = []
    for number in range(images):
        truth, found = random.integers(0, 6, (2, 12, 16), np.uint8).repeat(8, 1).repeat(8, 2)
        photograph = random.integers(0, 255, (12, 16, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        found = np.where(random.random(found.shape) < number % 97 / 97, truth, found)
        shown = Shown(
            f"photograph {number}", "eval", [1, 2], photograph, prediction=found, truth=truth
        )
        made = entry(shown, classes=6)
        write_pictures(folder, number, made)
        records.append(made.record)
    run = json.loads(
        (folder / "data/run.js").read_text().partition("run: ")[2].removesuffix(" };\n")
    )
    about = {"run": "many", "variant": "main", "seed": 0, "train_split": "t", "eval_split": "e"}
    about |= {"verdicts": [], "final": None, "sentences": ["x"], "findings": [], "details": []}
    about |= {
        "detector": "",
        "train_images": 0,
        "eval_images": images,
        "shown": {"train": 0, "eval": images},
    }
    page.write_text(write_page(folder, summary=about, run=run, records=records, times=[]))
    return page
