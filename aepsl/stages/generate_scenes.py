"""Generate the synthetic dataset."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from aepsl.config.data import Data
from aepsl.data.adapters import Scenes
from aepsl.data.scene_files import (
    FILES,
    digest_of_folder,
    prepare_folder,
    write_lists,
    write_scene,
)
from aepsl.data.scenes import SceneOptions
from aepsl.stages._options import Processes, Settings, Writes
from aepsl.stages._parallel import parallel_map
from aepsl.stores.atomic import write_manifest_json

OutputScenes = Annotated[
    Path,
    typer.Option(help="Digest file to write; its folder is for the scenes only."),
    Writes(*FILES),
]


def generate_scenes(config: Settings, output: OutputScenes, threads: Processes = 1) -> None:
    """Generate a synthetic dataset: scenes with image labels and exact masks."""
    data = config.section("data", Data)
    scenes = data.scenes
    options = SceneOptions(
        size=scenes.size,
        two_objects=scenes.two_objects,
        hue_spread=scenes.hue_spread,
        stray_hue=scenes.stray_hue,
        distractors=scenes.distractors,
        clutter=scenes.clutter,
    )
    root = output.parent
    dataset = Scenes(data, root=root)
    jobs = [(split, i) for split in ("train", "val") for i in dataset.ids(split)]
    prepare_folder(root, digest=output)
    work = partial(write_scene, seed=scenes.seed, options=options, root=root)
    rows = list(parallel_map(work, jobs, threads=threads, what="scenes"))
    write_lists(root, rows)
    write_manifest_json(output, {"images": len(rows), "sha256": digest_of_folder(root)})
