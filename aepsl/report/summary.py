"""The summary of a run: its main score, the verdict in sentences, and all scores as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from aepsl.masks import BACKGROUND_NAME
from aepsl.report.scores import class_mean, target_title

Row = Mapping[str, Any]
"""One score of ``scores.json``."""

FINDINGS = {
    "missed": ("1 image misses a class", "{} images miss a class"),
    "false": ("1 image has a false class", "{} images have a false class"),
    "small": ("1 image has a class that is too small", "{} images have a class that is too small"),
    "large": ("1 image has a class that is too large", "{} images have a class that is too large"),
    "ignored": ("1 label is mostly ignored", "{} labels are mostly ignored"),
}
"""What the page says about the images with each cause of error: about one, and about several."""


def percent(value: float | None) -> str:
    """Return a fraction in percent with one digit, or a dash.

    >>> percent(0.7601), percent(None)
    ('76.0', '–')
    """
    return "–" if value is None else f"{100 * value:.1f}"


def final_scores(rows: Sequence[Row]) -> list[Row]:
    """Return the score of the final masks of each variant: after the CRF, where it is used."""
    final = {
        row["variant"]: row
        for target in ("predictions", "predictions_crf")
        for row in rows
        if row["target"] == target and row["miou"] is not None
    }
    return list(final.values())


def score_of(rows: Sequence[Row], target: str, variant: str) -> Row | None:
    """Return the last score of a variant's target that has a value."""
    scores = [row for row in rows if (row["target"], row["variant"]) == (target, variant)]
    return next((row for row in reversed(scores) if row["miou"] is not None), None)


def _added(before: float, after: float) -> str:
    points = 100 * (after - before)
    return f"{'added' if points >= 0 else 'took away'} {abs(points):.1f} points"


def _classes(row: Row) -> Iterator[str]:
    ious = {n: v for n, v in row["iou"].items() if n != BACKGROUND_NAME and v is not None}
    if len(ious) > 1:
        weakest, strongest = min(ious, key=ious.__getitem__), max(ious, key=ious.__getitem__)
        yield (
            f"The weakest class is {weakest} ({percent(ious[weakest])} %), the strongest"
            f" {strongest} ({percent(ious[strongest])} %)."
        )


def _spread(finals: Sequence[Row]) -> Iterator[str]:
    values, seeds = [row["miou"] for row in finals], {row["seed"] for row in finals}
    if len(values) > 1:
        lowest, highest = percent(min(values)), percent(max(values))
        text = f"The {len(values)} variants reach {lowest} to {highest} % mIoU"
        if len(seeds) == len(values):
            text += f", each with its own seed: {percent(mean(values))} ± {percent(stdev(values))}"
            text += " (mean and standard deviation)"
        yield f"{text}."


def _stages(rows: Sequence[Row], variant: str) -> Iterator[str]:
    if labels := score_of(rows, "labels", variant):
        yield (
            f"The pseudo-labels cover {percent(labels['coverage'])} % of the pixels;"
            f" {percent(labels['error'])} % of these are wrong."
        )
    mined = [
        row
        for row in rows
        if (row["target"], row["variant"]) == ("regions", variant) and row["miou"] is not None
    ]
    if len(mined) > 1:
        before, last = mined[-2:]
        where = "to" if last["miou"] >= before["miou"] else "from"
        yield (
            f"The last erasing step (step {last['step']}) {_added(before['miou'], last['miou'])}"
            f" of mIoU {where} the mined regions."
        )
    plain, refined = (score_of(rows, t, variant) for t in ("predictions", "predictions_crf"))
    if plain and refined:
        yield f"The CRF {_added(plain['miou'], refined['miou'])}."


def verdict_with_truth(rows: Sequence[Row], variant: str) -> list[str]:
    """Return sentences about the scores of ``variant``, and about the spread over all variants.

    Args:
        rows: the scores of the run, in the order of ``scores.json``.
        variant: the variant that the page shows.
    """
    finals = final_scores(rows)
    row = next(row for row in finals if row["variant"] == variant)
    low, high = row["miou_interval"]
    level = f"{100 * row['confidence']:g} %"
    return [
        f"The final masks reach {percent(row['miou'])} % mIoU on {row['images']} images"
        f" ({level} interval {percent(low)} to {percent(high)} %).",
        *_classes(row),
        *_stages(rows, variant),
        *_spread(finals),
    ]


def verdict_without_truth(
    rows: Sequence[Row], variant: str, records: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return sentences about coverage, disagreement and confidence, without evaluation truth.

    Args:
        rows: the scores of the run, in the order of ``scores.json``: of training images, if any.
        variant: the variant that the page shows.
        records: the records of all images, from :func:`aepsl.report.gallery.entry`.
    """
    missing = "There are no true masks, so this page cannot say how good the masks are."
    if any(row["miou"] is not None for row in rows):
        missing = "The evaluation images have no true masks, so this page cannot say how good the"
        missing += " final masks are."
    sentences = [missing, *_stages(rows, variant)]
    for key, split, text in (
        ("ignored", "train", "The pseudo-labels leave {} % of the pixels open"),
        ("disagreement", "train", "The network disagrees with its labels on {} % of the pixels"),
        ("disagreement", "eval", "The CRF changed {} % of the pixels of the predictions"),
        ("confidence", "eval", "The mean confidence of the predictions is {} %"),
    ):
        values = [r[key] for r in records if r["split"] == split and r.get(key) is not None]
        if values:
            sentences.append(f"{text.format(percent(mean(values)))} ({len(values)} images).")
    return sentences


def _labelled(count: int, which: str = "") -> str:
    return f"1 {which}image is labelled" if count == 1 else f"{count} {which}images are labelled"


def _never_shown(records: Sequence[Mapping[str, Any]], class_names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each class that image labels name and no mask on the page shows."""
    for value, name in enumerate(class_names, start=1):
        labelled = [record for record in records if value in record["labels"]]
        learnt = [record for record in labelled if "lost" in record]
        judged = [record for record in labelled if "found" in record]
        if learnt and all(value in record["lost"] for record in learnt):
            yield (
                f"No pseudo-label shows {name}, which {_labelled(len(learnt), 'training ')} with,"
                " so the network cannot have learnt it."
            )
        elif judged and not any(value in record["found"] for record in judged):
            yield f"No mask shows {name}, which {_labelled(len(judged))} with."


def _findings(records: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """Yield each cause of errors that occurs, with the number of its images in words."""
    for cause, (one, several) in FINDINGS.items():
        count = sum(any(c == cause for c, _ in r.get("causes", ())) for r in records)
        if count:
            yield {"cause": cause, "text": one if count == 1 else several.format(count)}


def _details(row: Row) -> dict[str, Any]:
    """Return one score as text."""
    measures = ("iou", "precision", "recall", "boundary_f")
    return {
        "target": target_title(row),
        "miou": percent(row["miou"]),
        "interval": " to ".join(map(percent, row["miou_interval"])),
        "boundary": percent(class_mean(row["boundary_f"])),
        "coverage": percent(row["coverage"]),
        "error": percent(row["error"]),
        "classes": [
            {"name": name, "values": [percent(row[measure][name]) for measure in measures]}
            for name in row["iou"]
        ],
    } | {key: row[key] for key in ("variant", "split", "images", "seed")}


def _headline(row: Row) -> dict[str, Any]:
    low, high = (round(100 * value, 1) for value in row["miou_interval"])
    about = {"level": f"{100 * row['confidence']:g} %", "low": low, "high": high}
    return _details(row) | about


def summary_of(
    rows: Sequence[Row],
    records: Sequence[Mapping[str, Any]],
    *,
    variant: str,
    class_names: Sequence[str],
) -> dict[str, Any]:
    """Return the summary of a run, as text for the page.

    Args:
        rows: the scores of the run, in the order of ``scores.json``.
        records: the records of all images, from :func:`aepsl.report.gallery.entry`.
        variant: the variant that the page shows.
        class_names: without the background.
    """
    final = next((row for row in final_scores(rows) if row["variant"] == variant), None)
    sentences = (
        verdict_with_truth(rows, variant)
        if final
        else verdict_without_truth(rows, variant, records)
    )
    splits = [record["split"] for record in records]
    return {
        "final": final and _headline(final),
        "sentences": [*sentences, *_never_shown(records, class_names)],
        "findings": list(_findings(records)),
        "details": [_details(row) for row in rows if row["miou"] is not None],
        "shown": {split: splits.count(split) for split in ("train", "eval")},
    }
