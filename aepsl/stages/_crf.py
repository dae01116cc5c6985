"""CRF options from the configuration."""

from __future__ import annotations

from importlib.util import find_spec

from aepsl.config.sections import StageSettings
from aepsl.config.segmentation import Crf
from aepsl.errors import AepslError
from aepsl.segmentation.crf import CrfOptions


def crf_options(config: StageSettings) -> CrfOptions:
    """Return the CRF options of the configuration.

    Raises:
        AepslError: if pydensecrf is not installed.
    """
    if find_spec("pydensecrf") is None:
        raise AepslError.of(
            "pydensecrf", "is not installed", "install a C++ compiler, then requirements-crf.lock"
        )
    return CrfOptions(**config.section("crf", Crf).model_dump(exclude={"enabled"}))
