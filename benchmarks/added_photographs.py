"""Cost of adding ten photographs in the stages that do not train, compared to a full run.

    python benchmarks/added_photographs.py [photographs] [side in px]

Runs the real commands on generated scenes, twice each: with an empty cache and with a filled one.
"""

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from aepsl.config.data import SCENE_CLASSES
from aepsl.workflow.codedigest import code_digest
from aepsl.workflow.plan import Plan
from aepsl.workflow.stages import ResultIndex

ADDED = 10


def settings(stage, config, **index):
    """Return the settings that the workflow gives a stage, as JSON."""
    return Plan(config).variants.settings(stage, "main", ResultIndex(**index))


def aepsl(*arguments):
    """Run a command; return its seconds."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "aepsl", *map(str, arguments)], check=True)
    return time.monotonic() - started


def index(folder, out, cache):
    data, labels = folder / "data", folder / "data" / "labels.csv"
    config = {"adapter": "voc", "root": str(data), "class_names": list(SCENE_CLASSES)}
    config |= {"labels": "csv", "labels_csv": str(labels)}
    return aepsl(
        *("index-images", "--config", settings("index_images", {"data": config}, role="train")),
        *("--role", "train", "--root", data, "--labels-csv", labels),
        *("--output", out / "images.jsonl", "--cache", cache),
        *("--code", code_digest("aepsl.stages.index_images")),
        *("--log", out / "index.log"),
    )


def saliency(folder, out, cache):
    return aepsl(
        *("detect-saliency", "--config", settings("detect_saliency", {})),
        *("--dataset", out / "images.jsonl", "--shard", 0, "--shards", 1),
        *("--root", folder / "data", "--output", out / "0.h5", "--threads", "2"),
        *("--code", code_digest("aepsl.stages.detect_saliency"), "--cache", cache),
        *("--log", out / "saliency.log"),
    )


def choose(data, names):
    (data / "ImageSets/Segmentation/train.txt").write_text("".join(f"{n}\n" for n in names))


def main(count, side):
    with TemporaryDirectory() as top:
        folder = Path(top)
        scenes = {"scenes": {"train_images": count + ADDED, "val_images": 1, "size": side}}
        config = settings("generate_scenes", {"data": scenes})
        made = folder / "data" / "scenes.json"
        aepsl("generate-scenes", "--config", config, "--output", made, "--threads", "2")
        train = (folder / "data/ImageSets/Segmentation/train.txt").read_text().split()
        rows = []
        for what, chosen, cache in (
            (f"{count} photographs, nothing kept", train[:count], "cache"),
            (f"{ADDED} more, those kept", train, "cache"),
            (f"{ADDED} photographs, nothing kept", train[count:], "other"),
            (f"{count + ADDED} photographs, nothing kept", train, "third"),
        ):
            choose(folder / "data", chosen)
            out = folder / f"out-{len(rows)}"
            times = [stage(folder, out, folder / cache) for stage in (index, saliency)]
            rows.append((what, *times))
            print(f"{what:40} index {times[0]:7.1f} s   saliency {times[1]:7.1f} s", flush=True)
        same = [(folder / f"out-{n}/0.h5").read_bytes() for n in (1, 3)]
        print("the same bytes" if same[0] == same[1] else "OTHER BYTES")


if __name__ == "__main__":
    main(*(int(argument) for argument in (*sys.argv[1:], "500", "377")[:2]))
