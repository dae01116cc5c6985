"""mmsegmentation's folders: photographs in img_dir, masks of the same names in ann_dir."""

from __future__ import annotations

from pathlib import Path

from aepsl.console import tracked
from aepsl.data.images import voc_palette, write_mask
from aepsl.exchange.labelled import SPLITS, Labelled
from aepsl.masks import BACKGROUND_NAME, IGNORE_INDEX
from aepsl.stores.atomic import write_text

DATASET = '''"""A dataset for mmsegmentation, or for any code that reads images and index masks."""

metainfo = {{
    "classes": {classes},
    "palette": {palette},
}}
dataset = {{
    "type": "BaseSegDataset",
    "metainfo": metainfo,
    "data_prefix": {{"img_path": "img_dir/{split}", "seg_map_path": "ann_dir/{split}"}},
    "img_suffix": "{suffix}",
    "seg_map_suffix": ".png",
    "reduce_zero_label": False,  # 0 is the class background
    "ignore_index": {ignored},
}}
'''


def write_mmseg(labelled: Labelled, folder: Path) -> None:
    """Write ``img_dir/<split>``, ``ann_dir/<split>`` and ``dataset.py``, which describes them.

    Photographs and masks are named by the image id. Where photographs have several suffixes, all
    get ``.jpg``: mmsegmentation allows one, and readers look at the content.
    """
    suffixes = {Path(image.entry.path).suffix for image in labelled.images}
    suffix = suffixes.pop() if len(suffixes) == 1 else ".jpg"
    for image in tracked(labelled.images, total=len(labelled.images), what="mmseg"):
        name = image.entry.id
        labelled.put_photograph(image, folder / "img_dir" / image.split / f"{name}{suffix}")
        file = folder / "ann_dir" / image.split / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_mask(file, image.mask())
    names = [BACKGROUND_NAME, *labelled.class_names]
    palette = voc_palette(len(names)).tolist()
    splits = {image.split for image in labelled.images}
    split = next((split for split in SPLITS.values() if split in splits), "train")
    about = {"classes": names, "palette": palette, "suffix": suffix, "ignored": IGNORE_INDEX}
    about["split"] = split
    write_text(folder / "dataset.py", DATASET.format(**about))
