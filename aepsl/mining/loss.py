"""The squared label prediction loss (HCP, Wei et al. 2014) that trains the classifiers; recall."""

from __future__ import annotations

from torch import Tensor


def squared_label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return ``0.5 * sum_c (softmax(z)_c - y_c / |y|_1)^2``, averaged over the images.

    The factor and the L1 normalisation are what makes the first values of the paper's Fig. 5a
    (0.354-0.397) come out: a uniform softmax over 20 classes costs 0.362 on train_aug.

    Args:
        logits: (n, classes), the class scores z.
        labels: (n, classes), 1 where the class is present, else 0; at least one 1 a row.

    Returns:
        A scalar, from 0 to 1.
    """
    target = labels / labels.sum(dim=1, keepdim=True)
    return 0.5 * (logits.softmax(dim=1) - target).square().sum(dim=1).mean()


def label_recall(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the share of the true labels that rank first, an image with k labels having k places.

    Args:
        logits: (n, classes), the class scores z.
        labels: (n, classes), 1 where the class is present, else 0; at least one 1 a row.

    Returns:
        A scalar, 0..1, the mean over the images.
    """
    ranks = logits.argsort(dim=1, descending=True).argsort(dim=1)
    found = (ranks < labels.sum(dim=1, keepdim=True)) * labels
    return (found.sum(dim=1) / labels.sum(dim=1)).mean()
