"""Condition of Algorithm 1's loop, "while the training of classification is success"."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Verdict(NamedTuple):
    """Whether the training of a classifier succeeded, and the reason."""

    success: bool
    reason: str


def uninformed_loss(labels: NDArray[np.floating]) -> float:
    """Return the squared label loss of uniform predictions, averaged over images.

    Every class gets the probability 1/C; an image with k of C classes then has the loss
    ``0.5 * (1/k - 1/C)``.

    Args:
        labels: (images, classes), 1 where the class is present, else 0; at least one 1 per row.

    >>> round(uninformed_loss(np.eye(20)), 3)
    0.475
    """
    shown = labels.sum(axis=1)
    return float(np.mean(0.5 * (1 / shown - 1 / labels.shape[1])))


def training_succeeds(
    *, loss: float, recall: float, uninformed: float, largest_loss: float, smallest_recall: float
) -> Verdict:
    """Return whether the training of a step's classifier has succeeded.

    The paper does not define the condition. Its Fig. 5a shows that step 4 is one step too many: the
    remaining parts of the objects no longer identify their classes, and the loss stays high.

    Args:
        loss: mean of the last epoch.
        recall: label recall of the last epoch, 0..1.
        uninformed: loss of uniform predictions, see :func:`uninformed_loss`.
        largest_loss: largest loss of a success, relative to ``uninformed``.
        smallest_recall: smallest recall of a success.
    """
    fraction = loss / uninformed if uninformed > 0 else 0.0
    reasons = []
    if fraction > largest_loss:
        reasons.append(
            f"loss {loss:.3f} is {fraction:.3f} of an uninformed one, above {largest_loss}"
        )
    if recall < smallest_recall:
        reasons.append(f"recall {recall:.2f} is below {smallest_recall}")
    if reasons:
        return Verdict(False, " and ".join(reasons))
    return Verdict(True, f"loss {fraction:.3f} of an uninformed one, recall {recall:.2f}")
