"""Label losses of the classifiers, and label recall."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class LabelLoss(NamedTuple):
    """A loss of class scores and labels, with the class probabilities that it trains."""

    loss: Callable[[Tensor, Tensor], Tensor]
    """Function from (n, classes) scores and labels to a scalar."""
    probabilities: Callable[[Tensor], Tensor]
    """Function from (n, classes) scores to probabilities, 0..1."""


def squared_label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return ``0.5 * sum_c (softmax(z)_c - y_c / |y|_1)^2``, averaged over the images.

    HCP (Wei et al. 2014). The factor and the L1 normalisation reproduce the first values of the
    paper's Fig. 5a (0.354-0.397): a uniform softmax over 20 classes has a loss of 0.362 on
    train_aug.

    Args:
        logits: (n, classes), the class scores z.
        labels: (n, classes), 1 where the class is present, else 0; at least one 1 per row.

    Returns:
        A scalar, from 0 to 1.
    """
    target = labels / labels.sum(dim=1, keepdim=True)
    return 0.5 * (logits.softmax(dim=1) - target).square().sum(dim=1).mean()


def sigmoid_label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the binary cross-entropy of each class, averaged over classes and images.

    Each class is decided alone, as usual in later work (multilabel_soft_margin_loss): one class,
    and images that show none, can be learnt.

    Args:
        logits: (n, classes), the class scores z.
        labels: (n, classes), 1 where the class is present, else 0.

    Returns:
        A scalar, at least 0.
    """
    return functional.multilabel_soft_margin_loss(logits, labels)


LABEL_LOSSES = {
    "squared": LabelLoss(squared_label_loss, lambda logits: logits.softmax(dim=1)),
    "sigmoid": LabelLoss(sigmoid_label_loss, torch.sigmoid),
}
"""Label losses by name, the values of ``mining.loss``."""


def label_recall(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the fraction of an image's k true labels among its k top-ranked classes.

    An image that shows no class counts as recalled if every score is below 0.

    Args:
        logits: (n, classes), the class scores z.
        labels: (n, classes), 1 where the class is present, else 0.

    Returns:
        A scalar, 0..1, the mean over the images.
    """
    ranks = logits.argsort(dim=1, descending=True).argsort(dim=1)
    shown = labels.sum(dim=1, keepdim=True)
    recall = ((ranks < shown) * labels).sum(dim=1) / shown[:, 0].clamp(min=1)
    nothing = (logits < 0).all(dim=1).to(recall.dtype)
    return torch.where(shown[:, 0] > 0, recall, nothing).mean()
