"""Final masks as the archive that VOC's evaluation server takes."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aepsl.config.evaluation import Evaluation
from aepsl.config.sections import Slice
from aepsl.console import tracked
from aepsl.data.images import encode_mask
from aepsl.stores.atomic import replacing
from aepsl.stores.dataset import read_truth
from aepsl.stores.records import Store


def run(config: Slice, *, truth: Path, masks: Sequence[Path], output: Path) -> None:
    """Write each mask under ``results/VOC2012/Segmentation/<competition>_test_cls/<image>.png``.

    Values are VOC's own, whichever classes the run uses. Equal masks give equal bytes.
    """
    competition = config.section("evaluation", Evaluation).voc_competition
    folder = f"results/VOC2012/Segmentation/{competition}_test_cls"
    values = np.array([0, *read_truth(truth, root=Path()).mask_values], np.uint8)
    store = Store(masks, kind="predictions")
    with (
        replacing(output) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile("", fileobj=raw, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for image_id in tracked(store.ids(), total=len(store), what="archive"):
            content = encode_mask(values[store[image_id].arrays["mask"]])
            entry = tarfile.TarInfo(f"{folder}/{image_id}.png")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
