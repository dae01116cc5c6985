"""Condition of Algorithm 1's loop, "while the training of classification is success"."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Verdict(NamedTuple):
    """Whether the training of a classifier succeeded, and the reason."""

    success: bool
    reason: str


def uniform_loss(labels: NDArray[np.floating], *, loss: str = "squared") -> float:
    """Return the label loss of uniform predictions, averaged over images.

    ``squared``: every class gets the probability 1/C; an image with k of C classes then has the
    loss ``0.5 * (1/k - 1/C)``. ``sigmoid``: every class gets the probability 1/2.

    Args:
        labels: (images, classes), 1 where the class is present, else 0; for ``squared`` at least
            one 1 per row.
        loss: a name in :data:`aepsl.mining.loss.LABEL_LOSSES`.

    >>> round(uniform_loss(np.eye(20)), 3)
    0.475
    """
    if loss == "sigmoid":
        return math.log(2)
    shown = labels.sum(axis=1)
    return float(np.mean(0.5 * (1 / shown - 1 / labels.shape[1])))


def training_succeeds(
    *, loss: float, recall: float, uniform: float, largest_loss: float, smallest_recall: float
) -> Verdict:
    """Return whether the training of a step's classifier has succeeded.

    The paper does not define the condition. Its Fig. 5a shows that step 4 is one step too many: the
    remaining parts of the objects no longer identify their classes, and the loss stays high.

    Args:
        loss: mean of the last epoch.
        recall: label recall of the last epoch, 0..1.
        uniform: loss of uniform predictions, see :func:`uniform_loss`.
        largest_loss: largest loss of a success, relative to ``uniform``.
        smallest_recall: smallest recall of a success.
    """
    fraction = loss / uniform if uniform > 0 else 0.0
    reasons = []
    if fraction > largest_loss:
        reasons.append(
            f"loss {loss:.3f} is {fraction:.3f} of the loss of uniform predictions,"
            f" above {largest_loss}"
        )
    if recall < smallest_recall:
        reasons.append(f"recall {recall:.2f} is below {smallest_recall}")
    if reasons:
        return Verdict(False, " and ".join(reasons))
    success = f"loss {fraction:.3f} of the loss of uniform predictions, recall {recall:.2f}"
    return Verdict(True, success)
