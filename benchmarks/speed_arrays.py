"""The stages that compute no network, 375 x 500 px: regions, labels and scores.

The plain way is a loop over images in numpy and scipy for the same result, with one `.npy` file per
image and array: full-resolution float32 maps and saliency, boolean regions, masks. It neither
checks nor compresses. Scores are IoU, its bootstrap interval of 1000 resamples, and the boundary F
of each class.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt
from speed_inputs import cam_store, cell_maps, dataset, saliency_store, settings
from speed_tools import Bench, Row, Table, Way, compare

from aepsl.grid import Grid, resample
from aepsl.stages.assemble_labels import assemble_labels
from aepsl.stages.erase_regions import erase_regions
from aepsl.stages.score import score
from aepsl.stores.atomic import read_manifest_json
from aepsl.stores.records import Store

IMAGES = 32
DELTA, BACKGROUND, TOLERANCE, RESAMPLES = 0.7, 0.06, 0.0075, 1000


class _Files(NamedTuple):
    """Stores of the stages and files of the plain way, with equal content."""

    made: object
    plain: object
    cams: object
    saliency: object
    regions: object
    labels: object


def _prepare(bench) -> _Files:
    made = dataset(bench, bench.count(IMAGES))
    images, plain = made.images(), bench.folder / "plain"
    plain.mkdir()
    maps = cell_maps(images)
    cams = cam_store(bench.folder / "cams.h5", images, maps)
    saliency = saliency_store(bench.folder / "saliency.h5", images)
    store = Store([saliency], kind="saliency")
    for image in images.images:
        full = resample(maps[image.id], (image.height, image.width), source=Grid(8))
        np.save(plain / f"{image.id}-cam.npy", full)
        found = store.array(image.id, "saliency").astype(np.float32)
        np.save(plain / f"{image.id}-saliency.npy", found)
    stores = (bench.folder / "regions.h5", bench.folder / "labels.h5")
    return _Files(made, plain, cams, saliency, *stores)


def _stage_regions(files, config):
    given = (config, files.made.manifest, [files.cams], [files.made.no_regions])
    erase_regions(*given, step=1, output=files.regions)


def _plain_regions(files):
    for image in files.made.images().images:
        maps = np.load(files.plain / f"{image.id}-cam.npy")
        region = np.zeros(maps.shape, bool)
        for number, heatmap in enumerate(maps):
            region[number] = (heatmap > DELTA * heatmap.max()) & (heatmap > 0)
        np.save(files.plain / f"{image.id}-region.npy", region)
        np.save(files.plain / f"{image.id}-union.npy", region | np.zeros_like(region))


def _stage_labels(files, config):
    stores = ([files.regions.with_suffix(".json")], [], [files.saliency])
    given = (config, files.made.manifest, files.made.root)
    assemble_labels(*given, *stores, output=files.labels)


def _plain_labels(files):
    images = files.made.images()
    for image in images.images:
        union = np.load(files.plain / f"{image.id}-union.npy")
        background = np.load(files.plain / f"{image.id}-saliency.npy") < BACKGROUND
        mask = np.full(union.shape[1:], 255, np.uint8)
        for number, region in zip(images.label_numbers(image), union, strict=True):
            mask[region] = 1 + number
        claims = union.sum(axis=0)
        mask[claims > 1] = 255
        mask[(claims == 0) & background] = 0
        mask[(claims == 1) & background] = 255
        np.save(files.plain / f"{image.id}-mask.npy", mask)


def _stage_scores(files, config, output):
    labels = [files.labels.with_suffix(".json")]
    given = {"target": "labels", "variant": "main", "seed": 0, "output": output}
    score(config, files.made.truth, files.made.root, labels, **given)


def _edges(mask, number, unknown):
    found, inside = np.zeros(mask.shape, bool), mask == number
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        known = ~(unknown[here] | unknown[there])
        differ = (mask[here] != mask[there]) & known
        found[here] |= differ & inside[here]
        found[there] |= differ & inside[there]
    return found


def _filled(true, reach):
    """Return the mask with narrow void bands filled by the nearest class."""
    void = true == 255
    if not void.any():
        return true
    away, nearest = distance_transform_edt(void, return_indices=True)
    filled = true[tuple(nearest)]
    if (away > reach).any():
        filled[void & (distance_transform_edt(away <= reach) <= reach + 1)] = 255
    return filled


def _boundary_f(true, mask, number, unknown, reach):
    edge, true_edge = _edges(mask, number, unknown), _edges(true, number, unknown)
    if not edge.any() and not true_edge.any():
        return np.nan
    if not edge.any() or not true_edge.any():
        return 0.0
    precision = (distance_transform_edt(~true_edge)[edge] <= reach).mean()
    recall = (distance_transform_edt(~edge)[true_edge] <= reach).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _plain_scoring(files):
    _plain_scores(files)


def _plain_scores(files):
    """Return mIoU and mean boundary F."""
    truth, counts, outlines = files.made.masks(), [], []
    names = 1 + len(truth.class_names)
    for entry in truth.masks:
        true = np.array(Image.open(files.made.root / entry.path))
        mask = np.load(files.plain / f"{entry.id}-mask.npy")
        known = true != 255
        both = [((true == k) & (mask == k) & known).sum() for k in range(names)]
        either = [(((true == k) | (mask == k)) & known).sum() for k in range(names)]
        counts.append((both, either))
        reach = TOLERANCE * np.hypot(*true.shape)
        filled = _filled(true, reach)
        outlines.append([_boundary_f(filled, mask, k, filled == 255, reach) for k in range(names)])
    counts, rng = np.array(counts, float), np.random.default_rng(0)
    for _ in range(RESAMPLES):
        both, either = counts[rng.integers(len(counts), size=len(counts))].sum(axis=0)
        np.mean(both[either > 0] / either[either > 0])
    both, either = counts.sum(axis=0)
    return np.mean(both[either > 0] / either[either > 0]), np.nanmean(outlines)


def _agreement(files, scores) -> Table:
    """Return whether the results are equal."""
    masks = Store([files.labels.with_suffix(".json")], kind="labels")
    regions = Store([files.regions.with_suffix(".json")], kind="regions")
    table = Table("Equal results", "%", statistic="mean")
    for name, store, file in (("labels", masks, "mask"), ("regions", regions, "union")):
        equal = [
            np.mean(store.array(one, file) == np.load(files.plain / f"{one}-{file}.npy"))
            for one in store.ids()
        ]
        table.rows.append(Row(f"pixels of {name}", 100 * float(np.mean(equal))))
    miou, ours = _plain_scores(files)[0], read_manifest_json(scores)["miou"]
    table.rows.append(Row("mIoU of the stage", 100 * ours))
    table.rows.append(Row("mIoU of the plain way", 100 * float(miou)))
    return table


def measure(bench: Bench):
    """Yield a table of each stage, and whether the results are equal."""
    files, scores = _prepare(bench), bench.folder / "score.json"
    work = len(files.made.images().images)
    for title, stage, plain in (
        (
            "Regions",
            partial(_stage_regions, files, settings("erase_regions", step=1)),
            _plain_regions,
        ),
        ("Labels", partial(_stage_labels, files, settings("assemble_labels")), _plain_labels),
        ("Scores", partial(_stage_scores, files, settings("score"), scores), _plain_scoring),
    ):
        ways = [Way("the stage", stage), Way("plain", partial(plain, files))]
        yield compare(title, ways, bench=bench, work=work, against="the stage")
    yield _agreement(files, scores)
