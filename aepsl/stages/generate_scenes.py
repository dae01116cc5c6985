"""Write the generated dataset in VOC's layout."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from functools import partial
from pathlib import Path

from PIL import Image

from aepsl.config.data import Scenes
from aepsl.config.sections import Slice
from aepsl.data.images import write_mask
from aepsl.data.scenes import SceneOptions, make_scene
from aepsl.errors import AepslError
from aepsl.randomness import generator
from aepsl.stages._parallel import mapped
from aepsl.stores.atomic import digest_of, write_manifest_json
from aepsl.stores.checksums import files_in

MARK = "generated.txt"
SAID = "Made by aepsl generate-scenes, which may replace what lies here.\n"
"""Says that a folder's content may be replaced."""

OURS = ("JPEGImages", "SegmentationClass", "ImageSets", "labels.csv", MARK)
"""What is in the folder, beside the digest of it all."""


def _write(
    job: tuple[str, int], *, seed: int, options: SceneOptions, output: Path
) -> tuple[str, str, str]:
    """Write one scene; return its split, id and labels."""
    split, number = job
    image_id = f"{split}_{number:04d}"
    scene = make_scene(generator(seed, split, number), options)
    Image.fromarray(scene.image).save(output / "JPEGImages" / f"{image_id}.png")
    write_mask(output / "SegmentationClass" / f"{image_id}.png", scene.mask)
    return split, image_id, " ".join(scene.labels)


def _empty(root: Path, output: Path) -> None:
    """Remove what an interrupted run left, and nothing else."""
    names = {path.name.partition(".tmp.")[0] for path in root.iterdir()} if root.exists() else set()
    if names:
        mark = root / MARK
        if names - {*OURS, output.name} or not mark.is_file() or mark.read_text() != SAID:
            hint = "give --output a folder of its own: it is emptied"
            raise AepslError.of(root, "holds other things than generated scenes", hint)
        shutil.rmtree(root)
    root.mkdir(parents=True, exist_ok=True)
    (root / MARK).write_text(SAID)


def run(config: Slice, *, output: Path, threads: int) -> None:
    """Generate the scenes of both splits into the folder of ``output``, which digests them all."""
    scenes = config.section("data.scenes", Scenes)
    options = SceneOptions(
        size=scenes.size,
        two_objects=scenes.two_objects,
        hue_spread=scenes.hue_spread,
        stray_hue=scenes.stray_hue,
        distractors=scenes.distractors,
        clutter=scenes.clutter,
    )
    splits = {"train": scenes.train_images, "val": scenes.val_images}
    jobs = [(split, number) for split, count in splits.items() for number in range(count)]
    root = output.parent
    _empty(root, output)
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    work = partial(_write, seed=scenes.seed, options=options, output=root)
    rows = list(mapped(work, jobs, threads=threads, what="scenes"))
    for split in splits:
        ids = "".join(f"{image_id}\n" for owner, image_id, _ in rows if owner == split)
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(ids)
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", "labels"))
        writer.writerows((image_id, labels) for _, image_id, labels in rows)
    files = {path.relative_to(root).as_posix(): digest_of(path) for path in files_in(root)}
    about = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    write_manifest_json(output, {"images": len(rows), "sha256": about})
