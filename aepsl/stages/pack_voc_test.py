"""Pack final masks as an archive for VOC's evaluation server."""

from __future__ import annotations

import gzip
import io
import tarfile

import numpy as np

from aepsl.config.evaluation import Evaluation
from aepsl.console import tracked
from aepsl.data.images import encode_mask
from aepsl.stages._options import Output, Predictions, Settings, TruthFile
from aepsl.stores.atomic import atomic_write
from aepsl.stores.manifests import read_truth
from aepsl.stores.records import Store


def pack_voc_test(
    config: Settings,
    truth: TruthFile,
    masks: Predictions,
    output: Output,
) -> None:
    """Pack final masks as an archive for PASCAL VOC's evaluation server.

    Each mask is ``results/VOC2012/Segmentation/<competition>_test_cls/<image>.png``. Its values are
    VOC's class indices, whichever classes the run uses. Equal masks give bit-identical archives.
    """
    competition = config.section("evaluation", Evaluation).voc_competition
    folder = f"results/VOC2012/Segmentation/{competition}_test_cls"
    values = np.array([0, *read_truth(truth).mask_values], np.uint8)
    store = Store(masks, kind="predictions")
    with (
        atomic_write(output) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile("", fileobj=raw, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for image_id in tracked(store.ids(), total=len(store), what="archive"):
            content = encode_mask(values[store[image_id].arrays["mask"]])
            entry = tarfile.TarInfo(f"{folder}/{image_id}.png")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
