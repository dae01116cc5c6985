"""Exported labels train the networks of another library: a real run's, a few steps."""

import runpy

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from aepsl.exchange.formats import export
from aepsl.exchange.labelled import open_labelled


class IndexMasks(Dataset):
    """The photographs and masks of a folder in mmsegmentation's layout, as a user writes it."""

    def __init__(self, folder, split):
        about = runpy.run_path(str(folder / "dataset.py"))
        self.classes = about["metainfo"]["classes"]
        self.ignored = about["dataset"]["ignore_index"]
        suffix = about["dataset"]["img_suffix"]
        self.photographs = sorted((folder / "img_dir" / split).glob(f"*{suffix}"))
        self.masks = folder / "ann_dir" / split

    def __len__(self):
        return len(self.photographs)

    def __getitem__(self, number):
        photograph = self.photographs[number]
        pixels = np.array(Image.open(photograph).convert("RGB"), np.float32) / 255
        mask = np.array(Image.open(self.masks / f"{photograph.stem}.png"), np.int64)
        return torch.from_numpy(pixels).permute(2, 0, 1)[:, :64, :64], torch.from_numpy(
            mask[:64, :64]
        )


@pytest.mark.slow
def test_segmentation_models_pytorch_learns_from_the_exported_labels(finished_miniature, tmp_path):
    import segmentation_models_pytorch as smp

    run = finished_miniature / "results" / "mini"
    labelled = open_labelled(
        [run / "labels" / "main", run / "predictions" / "main"], root=run / "scenes" / "main"
    )
    export(labelled, tmp_path / "mmseg", format_name="mmseg")
    train, val = (IndexMasks(tmp_path / "mmseg", split) for split in ("train", "val"))
    assert (len(train), len(val)) == (10, 6)
    torch.manual_seed(0)
    network = smp.Unet("resnet18", encoder_weights=None, classes=len(train.classes))
    loss = torch.nn.CrossEntropyLoss(ignore_index=train.ignored)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(8):
        for pixels, masks in DataLoader(train, batch_size=5):
            assert set(masks.unique().tolist()) <= {*range(len(train.classes)), 255}
            optimizer.zero_grad()
            value = loss(network(pixels), masks)
            value.backward()
            optimizer.step()
            losses.append(float(value.detach()))
    assert np.isfinite(losses).all()
    assert np.mean(losses[-2:]) < 0.6 * np.mean(losses[:2])
