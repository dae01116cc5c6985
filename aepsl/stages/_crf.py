"""CRF options from the configuration."""

from __future__ import annotations

from aepsl.config.sections import StageSettings
from aepsl.config.segmentation import Crf
from aepsl.host import require_crf
from aepsl.segmentation.crf import CrfOptions


def crf_options(config: StageSettings) -> CrfOptions:
    """Return the CRF options of the configuration.

    Raises:
        AepslError: if pydensecrf is not installed.
    """
    require_crf()
    return CrfOptions(**config.section("crf", Crf).kernels())
