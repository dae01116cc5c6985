"""Squared label loss of the classifiers (HCP, Wei et al. 2014), and label recall."""

from __future__ import annotations

from torch import Tensor


def squared_label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return ``0.5 * sum_c (softmax(z)_c - y_c / |y|_1)^2``, averaged over the images.

    The factor and the L1 normalisation reproduce the first values of the paper's Fig. 5a
    (0.354-0.397): a uniform softmax over 20 classes has a loss of 0.362 on train_aug.

    Args:
        logits: (n, classes), the class scores z.
        labels: (n, classes), 1 where the class is present, else 0; at least one 1 per row.

    Returns:
        A scalar, from 0 to 1.
    """
    target = labels / labels.sum(dim=1, keepdim=True)
    return 0.5 * (logits.softmax(dim=1) - target).square().sum(dim=1).mean()


def label_recall(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the fraction of an image's k true labels among its k top-ranked classes.

    Args:
        logits: (n, classes), the class scores z.
        labels: (n, classes), 1 where the class is present, else 0; at least one 1 per row.

    Returns:
        A scalar, 0..1, the mean over the images.
    """
    ranks = logits.argsort(dim=1, descending=True).argsort(dim=1)
    found = (ranks < labels.sum(dim=1, keepdim=True)) * labels
    return (found.sum(dim=1) / labels.sum(dim=1)).mean()
