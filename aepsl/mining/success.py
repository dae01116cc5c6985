"""While training of the classification network is success: the condition of Algorithm 1's loop."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Verdict(NamedTuple):
    """Whether a classifier has learnt its task, and why it is thought so."""

    success: bool
    reason: str


def uninformed_loss(labels: NDArray[np.floating]) -> float:
    """Return the squared label loss of a classifier that knows nothing: ``1/k - 1/C``, halved.

    Every class gets 1/C; an image with k of C classes then costs ``0.5 * (1/k - 1/C)``.

    Args:
        labels: (images, classes), 1 where the class is present, else 0; at least one 1 a row.

    >>> uninformed_loss(np.eye(20))
    0.475
    """
    shown = labels.sum(axis=1)
    return float(np.mean(0.5 * (1 / shown - 1 / labels.shape[1])))


def training_succeeds(
    *, loss: float, recall: float, uninformed: float, largest_loss: float, smallest_recall: float
) -> Verdict:
    """Return whether the training of a step's classifier has succeeded.

    The paper says "while training is success" and no more. Its Fig. 5a shows why step 4 is one too
    many: what is left of the objects no longer tells their classes, and the loss stays high.

    Args:
        loss: mean over the last epoch.
        recall: share of true labels among the classes ranked first, over the last epoch, 0..1.
        uninformed: what knowing nothing costs, see :func:`uninformed_loss`.
        largest_loss: of success, as a share of ``uninformed``.
        smallest_recall: of success.
    """
    share = loss / uninformed if uninformed > 0 else 0.0
    reasons = []
    if share > largest_loss:
        reasons.append(f"loss {loss:.3f} is {share:.3f} of an uninformed one, over {largest_loss}")
    if recall < smallest_recall:
        reasons.append(f"recall {recall:.2f} is under {smallest_recall}")
    if reasons:
        return Verdict(False, " and ".join(reasons))
    return Verdict(True, f"loss {share:.3f} of an uninformed one, recall {recall:.2f}")
