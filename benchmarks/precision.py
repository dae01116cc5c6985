"""Speed of bfloat16 on this processor: seconds per image in float32 and in bfloat16.

    python benchmarks/precision.py

One thread. ``train`` is features forward and backward in batches of 4, ``predict`` the forward pass
of one image. Seconds are of the processor, the least of several rounds, so that other work on the
machine disturbs little.
"""

import time

import torch

from aepsl.host import cpu
from aepsl.networks.models import Classifier, NetworkShape
from aepsl.precision import bfloat16_pays

CPU = torch.device("cpu")
ROUNDS = 7
NETWORKS = {
    "VGG-16": NetworkShape(head="none"),
    "VGG-16, LargeFOV": NetworkShape(),
    "ResNet-50": NetworkShape(backbone="timm/resnet50", head="none"),
    "EfficientNet-Lite2": NetworkShape(
        backbone="timm/tf_efficientnet_lite2", head="none", stride=16, fixed_norm=True
    ),
    "ConvNeXt-T": NetworkShape(backbone="timm/convnext_tiny", head="none", stride=16),
    "ViT-S": NetworkShape(backbone="timm/vit_small_patch16_224", head="none", stride=16),
    "scenes": NetworkShape(width=0.125, fc6_dilation=1, batch_norm=True),
}
"""The last one is that of the preset scenes."""
WORK = {"train": (4, 161), "predict": (1, 161)}
"""Images and their side in pixels."""


def seconds(model, work, precision):
    """Return the seconds of one image."""
    images, size = WORK[work]
    pixels = torch.rand(images, 3, size, size) * 255
    model.precision = precision
    spent = []
    for _ in range(ROUNDS):
        started = time.process_time()
        with torch.set_grad_enabled(work == "train"):
            features = model.features(pixels)
            if work == "train":
                features.square().mean().backward()
        spent.append(time.process_time() - started)
    return min(spent) / images


def main():
    """Print the table."""
    torch.set_num_threads(1)
    maker, units = cpu()
    print(maker or "CPU", "with", " and ".join(units) or "no units for bfloat16")
    print("auto is", "bfloat16" if bfloat16_pays(CPU) else "float32")
    print(f"{'network':18} {'work':8} {'float32':>8} {'bfloat16':>9} {'ratio':>6}")
    for name, shape in NETWORKS.items():
        model = Classifier(classes=20, shape=shape).to(memory_format=torch.channels_last)
        for work in WORK:
            model.train(work == "train")
            full, half = (seconds(model, work, precision) for precision in ("float32", "bfloat16"))
            print(f"{name:18} {work:8} {full:8.3f} {half:9.3f} {half / full:6.2f}", flush=True)


if __name__ == "__main__":
    main()
