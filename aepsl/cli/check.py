"""Check a dataset before hours are spent on it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from aepsl.config.files import read_configuration
from aepsl.config.root import Config
from aepsl.console import tracked
from aepsl.data.adapters import Dataset, Role, described
from aepsl.data.images import read_image
from aepsl.data.index import check_labels, located
from aepsl.data.survey import Finding, Photograph, perceptual_hash, survey, verdict
from aepsl.errors import AepslError, Problem, told_once
from aepsl.stores.atomic import digest_of
from aepsl.workflow.plan import Plan

if TYPE_CHECKING:
    import torch

    from aepsl.config.networks import Training
    from aepsl.networks.models import Classifier, SegmentationNetwork

THREADS = 2
"""Photographs that are decoded at the same time."""


def check(files: Sequence[Path], settings: Sequence[str], *, as_json: bool) -> bool:
    """Read every photograph of a configuration, print what was found, return whether all is well.

    Args:
        files: configuration files.
        settings: ``key=value``, as for Snakemake's ``--config``.
        as_json: whether to print JSON for programs instead of a table.

    Raises:
        AepslError: if the configuration or its files cannot be used.
    """
    plan = Plan(read_configuration(files, settings).values)
    plan.check_files()
    config = plan.config
    dataset = described(config.data)
    if dataset.made_by:
        raise AepslError.of("data.adapter", f"{config.data.adapter} are generated", "run aepsl run")
    photographs: list[Photograph] = []
    problems: list[Problem] = []
    roles: tuple[Role, ...] = ("train", "eval")
    for role in roles:
        read, wrong = _photographs(dataset, role, background=config.mining.loss == "sigmoid")
        photographs += read
        problems += wrong
    train = dataset.split("train")
    sides = [max(p.height, p.width) for p in photographs if p.split == train]
    network, unusable = _networks(config, len(dataset.classes), sides=sides)
    problems = [*dict.fromkeys(problems), *unusable]
    how, scale = config.mining.train, config.networks.scale
    crop = round(how.crop_of(sides, scale=scale) / how.scale_max / scale)
    findings = survey(photographs, classes=dataset.classes, train=train, crop=crop)
    counts = {
        split: Counter(name for p in photographs if p.split == split for name in p.labels)
        for split in dict.fromkeys(dataset.split(role) for role in roles)
    }
    in_training = {name: counts[train][name] for name in dataset.classes}
    words = (
        f"Not yet: {len(problems)} problem{'s' * (len(problems) != 1)}."
        if problems
        else verdict(findings, counts=in_training)
    )
    if as_json:
        said = {
            "photographs": Counter(p.split for p in photographs),
            "classes": counts,
            "problems": [vars(problem) for problem in problems],
            "findings": [vars(finding) for finding in findings],
            "network": network,
            "verdict": words,
        }
        print(json.dumps(said, ensure_ascii=False, indent=1))
    else:
        words = "\n".join(filter(None, (network, words)))
        _print(dataset, photographs, counts, problems=problems, findings=findings, words=words)
    return not problems and not any(finding.serious for finding in findings)


def _networks(config: Config, classes: int, *, sides: Sequence[int]) -> tuple[str, list[Problem]]:
    """Return size, licence and training time in words, or why the networks cannot be made.

    ``sides`` are the longer sides of the training photographs, px.
    """
    import torch

    from aepsl.device import pick_device
    from aepsl.networks.models import Classifier, SegmentationNetwork
    from aepsl.stages._networks import build_network, licence_of

    networks, head = config.networks, config.segmentation.head
    try:
        # The weights are of the backbone, which both share: they are read once.
        alone = networks.model_copy(update={"weights": "random"})
        classifier, _ = build_network(
            Classifier, classes=classes, networks=alone, head=config.mining.head
        )
        network, _ = build_network(
            SegmentationNetwork, classes=classes, networks=networks, head=head
        )
    except AepslError as error:
        return "", list(error.problems)
    millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    licence = licence_of(networks)
    words = f"Network: {networks.backbone} and {head}, {millions:.1f} million parameters"
    words += f"; its pretrained weights: {licence}." if licence else "."
    device = pick_device(config.runtime.device)
    torch.set_num_threads(config.runtime.threads)
    steps = 1 if config.mining.steps == "auto" else config.mining.steps
    seconds = steps * _training_time(classifier, config.mining.train, sides, device)
    seconds += _training_time(network, config.segmentation.train, sides, device)
    words += f"\nTrainings: about {max(1, round(seconds / 60))} min on this machine ({device})"
    return words + ("" if steps == config.mining.steps else " for one step") + ".", []


def _training_time(
    network: Classifier | SegmentationNetwork,
    train: Training,
    sides: Sequence[int],
    device: torch.device,
) -> float:
    """Return the seconds that a training takes, from the second pass over one image."""
    import torch

    crop = train.crop_of(sides, scale=network.scale)
    image = 255 * torch.rand(1, 3, crop, crop, device=device)
    network.to(device).eval()  # a single image has no statistics to train with
    for _ in range(2):
        start = time.perf_counter()
        torch.autograd.backward(network.features(image).sum())
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - start
    return seconds * len(sides) * train.epochs


def _photographs(
    dataset: Dataset, role: Role, *, background: bool
) -> tuple[list[Photograph], list[Problem]]:
    """Return the photographs of a split, and what is wrong with their files and labels."""
    split, source = dataset.split(role), dataset.labels()
    try:
        ids, files = dataset.ids(split), dataset.photographs()
    except AepslError as error:
        return [], list(error.problems)
    labels, problems = check_labels(
        ids, source, dataset, labels_required=role == "train", background_allowed=background
    )
    wanted, absent = located(labels, files)
    problems += [*absent, *source.problems]

    def read(job: tuple[str, Path, tuple[str, ...]]) -> Photograph | AepslError:
        image_id, path, names = job
        try:
            image = read_image(path)
            content = digest_of(path)
        except AepslError as error:
            return error
        height, width = image.shape[:2]
        return Photograph(image_id, split, names, height, width, content, perceptual_hash(image))

    with ThreadPool(THREADS) as pool:
        reads = list(tracked(pool.imap(read, wanted), total=len(wanted), what=f"check {split}"))
    problems += [p for read in reads if isinstance(read, AepslError) for p in read.problems]
    return [read for read in reads if isinstance(read, Photograph)], problems


def _print(
    dataset: Dataset,
    photographs: Sequence[Photograph],
    counts: dict[str, Counter[str]],
    *,
    problems: Sequence[Problem],
    findings: Sequence[Finding],
    words: str,
) -> None:
    console = Console(highlight=False)
    table = Table("class", *counts)
    for name in dataset.classes:
        table.add_row(name, *(str(of[name]) for of in counts.values()))
    nothing = [sum(p.split == split and not p.labels for p in photographs) for split in counts]
    if any(nothing):
        table.add_row("(none)", *map(str, nothing))
    table.add_section()
    totals = Counter(p.split for p in photographs)
    table.add_row("photographs", *(str(totals[split]) for split in counts))
    console.print(table, markup=False)
    if photographs:
        sides = sorted(max(p.height, p.width) for p in photographs)
        middle = sides[len(sides) // 2]
        console.print(f"Longer side: {sides[0]} to {sides[-1]} px, median {middle} px.")
    for problem in told_once(problems):
        console.print(f"! {problem}", markup=False, soft_wrap=True)
    for finding in findings:
        mark = "!" if finding.serious else "-"
        console.print(f"{mark} {finding.what}", markup=False, soft_wrap=True)
        console.print(f"    Hint: {finding.hint}", markup=False, soft_wrap=True)
    console.print(words, markup=False)
