"""The configuration: one frozen model per section, every knob with its unit and source.

Stages take only the sections they read, as canonical JSON (see ``aepsl.workflow``); core functions
take plain named values and never see these classes.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from aepsl.sections import Section, knob

# fmt: off
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)
# fmt: on


class Scenes(Section):
    """The generated dataset (``data.adapter: scenes``)."""

    train_images: int = knob(
        100, "Training images.", unit="images", source="4 min on 2 cores", ge=2
    )
    val_images: int = knob(60, "Validation images.", unit="images", source="as above", ge=1)
    size: int = knob(193, "Side of an image, 8 k + 1.", unit="px", source="as above", ge=33)
    two_objects: float = knob(
        0.5, "Share of images with two objects.", unit="share", source="chosen", ge=0, le=1
    )
    hue_spread: float = knob(
        4.0, "Spread of a body's hue around its class's.", unit="2 degrees", source="chosen", ge=0
    )
    stray_hue: float = knob(
        0.05, "Share of bodies with another class's hue.", unit="share", source="chosen", ge=0, le=1
    )
    distractors: int = knob(2, "Headless blobs an image.", unit="blobs", source="chosen", ge=0)
    clutter: int = knob(4, "Small grey blobs an image.", unit="blobs", source="chosen", ge=0)
    seed: int = knob(1, "Seed of the generator, apart from training's.", unit="-", source="-", ge=0)


class Data(Section):
    """Where photographs, their labels and, for scoring only, their masks come from."""

    adapter: Literal["scenes", "voc"] = knob(
        "scenes", "Generated scenes, or VOC's folders.", unit="-", source="-"
    )
    root: str | None = knob(
        None, "Folder with JPEGImages, ImageSets/Segmentation.", unit="path", source="VOCdevkit"
    )
    train_split: str = knob(
        "train", "Split to learn from.", unit="-", source="VOC; the paper: train_aug"
    )
    eval_split: str = knob("val", "Split to predict and score.", unit="-", source="paper, sec. 4.1")
    labels: Literal["xml", "csv"] = knob(
        "xml", "Image labels from Annotations/*.xml or from a CSV.", unit="-", source="VOC"
    )
    labels_csv: str | None = knob(
        None, "CSV with columns image, labels (names, space-separated).", unit="path", source="-"
    )
    class_names: tuple[str, ...] = knob(
        VOC_CLASSES, "All classes, in the order of the mask's values 1..n.", unit="-", source="VOC"
    )
    classes: tuple[str, ...] | None = knob(
        None, "Use only these classes; images without them are left out.", unit="-", source="-"
    )
    limit_per_class: int | None = knob(
        None, "Keep at most so many images a class and split.", unit="images", source="-", ge=1
    )
    scenes: Scenes = Scenes()

    @model_validator(mode="after")
    def _consistent(self) -> Data:
        if self.adapter == "voc" and self.root is None:
            raise ValueError("data.adapter is voc, but data.root is not set")
        if self.adapter == "voc" and self.labels == "csv" and self.labels_csv is None:
            raise ValueError("data.labels is csv, but data.labels_csv is not set")
        unknown = set(self.classes or ()) - set(self.class_names)
        if self.adapter == "voc" and unknown:
            raise ValueError(f"data.classes names {sorted(unknown)}, not in data.class_names")
        return self


class Networks(Section):
    """DeepLab-LargeFOV on VGG-16, for classification and for segmentation."""

    weights: str = knob(
        "random",
        "random, a torchvision name (IMAGENET1K_FEATURES), or a .npz/.pth/.safetensors file.",
        unit="-",
        source="paper: VGG-16 of ImageNet",
    )
    weights_input: Literal["torchvision", "caffe_bgr", "caffe_rgb"] = knob(
        "torchvision", "What a local weights file was trained on.", unit="-", source="its author"
    )
    width: float = knob(1.0, "Factor of every layer's channels.", unit="-", source="VGG-16", gt=0)
    fc6_dilation: int = knob(
        12, "Dilation of fc6.", unit="cells of 8 px", source="DeepLab-LargeFOV", ge=1
    )
    batch_norm: bool = knob(
        False, "Batch normalisation after each convolution.", unit="-", source="needed from scratch"
    )
    dropout: float = knob(
        0.5, "Dropout after fc6 and fc7.", unit="share", source="VGG-16", ge=0, lt=1
    )
    frozen_blocks: int = knob(
        0, "Leading blocks of convolutions kept as loaded.", unit="blocks", source="-", ge=0, le=5
    )


class Training(Section):
    """How a network is trained."""

    epochs: int = knob(15, "Passes over the images.", unit="epochs", source="paper, Fig. 5a", ge=1)
    batch_size: int = knob(30, "Images a step.", unit="images", source="paper, sec. 4.2", ge=1)
    crop: int = knob(321, "Side of the random crop, 8 k + 1.", unit="px", source="paper", ge=33)
    scale_min: float = knob(
        0.8, "Smallest random scale.", unit="-", source="chosen; 1 in DeepLab", gt=0
    )
    scale_max: float = knob(1.2, "Largest random scale.", unit="-", source="chosen", gt=0)
    flip: bool = knob(True, "Mirror every second image.", unit="-", source="DeepLab")
    learning_rate: float = knob(
        1e-3, "First learning rate.", unit="-", source="paper, sec. 4.2", gt=0
    )
    new_layers_factor: float = knob(
        10.0,
        "Times as fast for the layers that no weights are loaded for: fc6, fc7, heads.",
        unit="-",
        source="paper, sec. 4.2: the last layer, its fc6 and fc7 being ImageNet's",
        gt=0,
    )
    momentum: float = knob(0.9, "Momentum of SGD.", unit="-", source="recalled: 0.9", ge=0, lt=1)
    weight_decay: float = knob(5e-4, "Weight decay.", unit="-", source="recalled: 5e-4", ge=0)
    precision: Literal["float32", "bfloat16", "auto"] = knob(
        "float32",
        "Of the products in a step; auto is bfloat16 where the hardware multiplies it.",
        unit="-",
        source="paper's years; mixed precision: Kalamkar et al. 2019",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Training:
        if self.scale_min > self.scale_max:
            raise ValueError("scale_min is larger than scale_max")
        return self


class ClassifierTraining(Training):
    """Training of the classifier of each erasing step."""

    decay_every: int = knob(
        6, "Epochs after which the rate is multiplied.", unit="epochs", source="paper", ge=1
    )
    decay_factor: float = knob(0.1, "By what it is multiplied.", unit="-", source="paper", gt=0)


class SegmentationTraining(Training):
    """Training of the segmentation network."""

    poly_power: float = knob(0.9, "Power of the poly policy.", unit="-", source="DeepLab", gt=0)


class Mining(Section):
    """Adversarial erasing: Algorithm 1."""

    steps: int = knob(3, "Erasing steps.", unit="steps", source="paper, sec. 4.3: 3", ge=1)
    erase_rule: Literal["fraction_of_max", "top_fraction", "absolute"] = knob(
        "fraction_of_max", "How delta becomes a threshold.", unit="-", source="paper's Figs. 5b, 6"
    )
    delta: float = knob(
        0.52, "The threshold, as the rule reads it.", unit="by rule", source="Figs. 5b, 6", gt=0
    )
    cam_scale: float = knob(
        1.0, "Scale of the image that maps are extracted on.", unit="-", source="paper: 1", gt=0
    )
    train: ClassifierTraining = ClassifierTraining()


class Saliency(Section):
    """Where background is to be found."""

    method: Literal["robust_background", "precomputed"] = knob(
        "robust_background", "Computed here, or read from a folder.", unit="-", source="paper: DRFI"
    )
    folder: str | None = knob(
        None, "Maps <id>.png, 8 bit, for precomputed.", unit="path", source="-"
    )
    superpixels: int = knob(
        200, "Superpixels an image.", unit="superpixels", source="Zhu et al. 2014", ge=10
    )

    @model_validator(mode="after")
    def _has_folder(self) -> Saliency:
        if self.method == "precomputed" and self.folder is None:
            raise ValueError("saliency.method is precomputed, but saliency.folder is not set")
        return self


class Labels(Section):
    """Pseudo-labels S = F union B."""

    source: Literal["mined", "truth"] = knob(
        "mined", "Mined regions, or true masks (the upper bound).", unit="-", source="-"
    )
    background_threshold: float = knob(
        0.06, "Saliency below it is background.", unit="0..1", source="paper, sec. 4.1", ge=0, le=1
    )


class Segmentation(Section):
    """The network that is kept."""

    psl: bool = knob(True, "Prohibitive segmentation learning.", unit="-", source="paper, sec. 3.2")
    psl_after: int = knob(
        0,
        "Epochs before PSL sets in; a branch that starts from random weights prohibits everything.",
        unit="epochs",
        source="paper: 0, from ImageNet's weights",
        ge=0,
    )
    train: SegmentationTraining = SegmentationTraining()


class Prediction(Section):
    """Masks from the segmentation network."""

    scales: tuple[float, ...] = knob(
        (1.0,), "Scales whose scores are averaged.", unit="-", source="paper: 1", min_length=1
    )
    flip: bool = knob(False, "Average with the mirrored image.", unit="-", source="paper: no")
    threshold: float = knob(
        0.1, "Class scores below p become 0.", unit="0..1", source="paper, sec. 3.2", ge=0, lt=1
    )
    palette_png: bool = knob(
        False, "Write the last masks as palette PNGs, too.", unit="-", source="VOC"
    )


class Crf(Section):
    """Fully connected CRF; the defaults are DeepLab-LargeFOV's."""

    enabled: bool = knob(True, "Refine the predictions.", unit="-", source="paper, sec. 3.2")
    iterations: int = knob(
        10, "Mean-field iterations.", unit="iterations", source="DeepLab-LargeFOV", ge=1
    )
    bilateral_weight: float = knob(4.0, "bi_w.", unit="-", source="DeepLab-LargeFOV", ge=0)
    bilateral_xy: float = knob(121.0, "bi_xy_std.", unit="px", source="DeepLab-LargeFOV", gt=0)
    bilateral_rgb: float = knob(5.0, "bi_rgb_std.", unit="0..255", source="DeepLab-LargeFOV", gt=0)
    gaussian_weight: float = knob(3.0, "pos_w.", unit="-", source="DeepLab-LargeFOV", ge=0)
    gaussian_xy: float = knob(3.0, "pos_xy_std.", unit="px", source="DeepLab-LargeFOV", gt=0)


class Report(Section):
    """The page of pictures."""

    images: int = knob(10, "Images shown.", unit="images", source="-", ge=0)


class Runtime(Section):
    """How the work is done; nothing here makes anything run again."""

    shards: int = knob(1, "Parts of each per-image stage.", unit="jobs", source="-", ge=1)
    threads: int = knob(
        2,
        "Threads of a training; another number adds in another order, so last bits differ.",
        unit="threads",
        source="-",
        ge=1,
    )
    workers: int = knob(0, "Loader processes of a training.", unit="processes", source="-", ge=0)
    device: str = knob("auto", "auto, cpu or cuda.", unit="-", source="-")


class Config(Section):
    """Everything that a run is made from."""

    run: str = knob(
        "scenes", "Name of the folder in results/.", unit="-", source="-", pattern=r"^[\w.-]+$"
    )
    seed: int = knob(0, "Seed of all training.", unit="-", source="-", ge=0)
    data: Data = Data()
    networks: Networks = Networks()
    mining: Mining = Mining()
    saliency: Saliency = Saliency()
    labels: Labels = Labels()
    segmentation: Segmentation = Segmentation()
    prediction: Prediction = Prediction()
    crf: Crf = Crf()
    report: Report = Report()
    runtime: Runtime = Runtime()
    variants: dict[str, dict[str, Any]] = knob(
        {}, "Named overrides of the keys above; main has none.", unit="-", source="-"
    )
