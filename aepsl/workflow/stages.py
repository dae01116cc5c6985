"""The stages of a run, and what the result of each depends on."""

from __future__ import annotations

from typing import Any, NamedTuple

from aepsl.config.run import Config
from aepsl.config.segmentation import Crf


class Stage(NamedTuple):
    """What one stage's result depends on."""

    keys: tuple[str, ...]
    """Dotted names of the configuration that it reads; see :func:`keys_of` for what matters."""
    needs: tuple[str, ...]
    """Stages whose results it reads, at the same step or round; see :func:`needs_of`."""
    module: str
    """Its module in ``aepsl.stages``."""
    counted: str | None = None
    """Whether there is one a ``step`` of mining, or one a ``round`` of relabelling."""


_SELECTION = ("data.adapter", "data.class_names", "data.classes", "data.limit_per_class")
_LABELLED = ("data.root", "data.labels", "data.labels_csv", *_SELECTION)
_OF_TRUTH = ("data.adapter", "data.root", "data.mask_folder", "data.class_names", "data.classes")
_CRF = tuple(f"crf.{name}" for name in Crf.model_fields if name != "enabled")
_OF_CRF = ("prediction.threshold", *_CRF)
_VIEWS = ("prediction.scales", "prediction.flip")

STAGES = {
    "scenes": Stage(("data.scenes",), (), "generate_scenes"),
    "train_images": Stage(("data.train_split", *_LABELLED), (), "index_images"),
    "eval_images": Stage(("data.eval_split", *_LABELLED), (), "index_images"),
    "train_truth": Stage(_OF_TRUTH, ("train_images",), "index_truth"),
    "eval_truth": Stage(_OF_TRUTH, ("eval_images",), "index_truth"),
    "saliency": Stage(
        ("saliency.method", "saliency.superpixels", "saliency.folder", "saliency.network"),
        ("train_images",),
        "detect_saliency",
    ),
    "classifier": Stage(
        ("seed", "networks", "mining.head", "mining.train"),
        ("train_images",),
        "train_classifier",
        "step",
    ),
    "success": Stage(("mining.success",), ("classifier",), "judge_training", "step"),
    "cams": Stage(
        ("mining.cam_scales", "mining.cam_flip", "mining.cam_merge"),
        ("classifier",),
        "extract_cams",
        "step",
    ),
    "calibration": Stage(
        ("mining.erase_rule", "mining.area"), ("cams",), "calibrate_delta", "step"
    ),
    "regions": Stage(("mining.erase_rule", "mining.delta"), ("cams",), "erase_regions", "step"),
    "labels": Stage(
        ("labels.background_threshold", "labels.class_thresholds"), ("saliency",), "assemble_labels"
    ),
    "true_labels": Stage((), ("train_images", "train_truth"), "copy_true_labels"),
    "relabelled": Stage(
        ("segmentation.relabel_by", "segmentation.relabel_crf", *_VIEWS, *_OF_CRF),
        (),
        "relabel",
        "round",
    ),
    "segmentation": Stage(
        (
            "seed",
            "networks",
            "segmentation.head",
            "segmentation.psl",
            "segmentation.psl_after",
            "segmentation.train",
        ),
        (),
        "train_segmentation",
        "round",
    ),
    "predictions": Stage((*_VIEWS, "prediction.threshold", "crf.enabled"), (), "predict"),
    "crf": Stage(_CRF, ("predictions",), "refine_predictions"),
}
"""The DAG of the method."""


def keys_of(stage: str, config: Config) -> tuple[str, ...]:
    """Return the keys that matter to ``stage`` under ``config``: not those of other methods."""
    unused: set[str] = set()
    match stage:
        case "train_images" | "eval_images" | "train_truth" | "eval_truth" if (
            config.data.adapter == "scenes"
        ):
            used = ("data.adapter", "data.limit_per_class")
            unused = {key for key in STAGES[stage].keys if key not in used}
        case "train_images" | "eval_images" if config.data.labels == "xml":
            unused = {"data.labels_csv"}
        case "saliency":
            source = {"robust_background": "superpixels", "precomputed": "folder"}
            method = config.saliency.method
            unused = {"saliency.superpixels", "saliency.folder", "saliency.network"}
            unused.discard(f"saliency.{source.get(method, method)}")
        case "regions" if config.mining.area is not None:
            unused = {"mining.delta"}
        case "labels" if config.saliency.method == "none":
            unused = {"labels.background_threshold", "labels.class_thresholds"}
        case "relabelled" if not config.segmentation.relabel_crf:
            unused = set(_OF_CRF)
        case "segmentation" if config.segmentation.psl == "none":
            unused = {"segmentation.psl_after"}
        case "cams" if len(config.mining.cam_scales) == 1 and not config.mining.cam_flip:
            unused = {"mining.cam_merge"}
    return tuple(key for key in STAGES[stage].keys if key not in unused)


def needs_of(stage: str, config: Config, at: int) -> list[tuple[str, int]]:
    """Return the stages, with their step or round, whose results ``stage`` at ``at`` reads."""
    mining, last_round = config.mining, config.segmentation.relabel_rounds
    needs = [(need, at) for need in STAGES[stage].needs]
    match stage:
        case "train_images" | "eval_images" if config.data.adapter == "scenes":
            needs = [("scenes", 0)]
        case "classifier" | "cams" if at > 1:
            needs.append(("regions", at - 1))
        case "regions" if mining.area is not None:
            needs.append(("calibration", at))
        case "labels":
            saliency = [] if config.saliency.method == "none" else needs
            if mining.steps == "auto":
                needs = [("regions", mining.max_steps), ("success", mining.max_steps), *saliency]
            else:
                needs = [("regions", mining.steps), *saliency]
        case "relabelled":
            needs = [("segmentation", at - 1)]
        case "segmentation":
            needs = [("relabelled", at) if at else (label_stage(config), 0)]
        case "predictions":
            needs = [("segmentation", last_round), ("eval_images", 0)]
    return needs


def label_stage(config: Config) -> str:
    """Return which stage makes the masks of the first round."""
    return "labels" if config.labels.source == "mined" else "true_labels"


def value_of(config: Config, key: str) -> Any:
    """Return the value of a dotted key, as JSON has it."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
