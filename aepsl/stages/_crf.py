"""CRF options from the configuration."""

from __future__ import annotations

from aepsl.config.sections import StageSettings
from aepsl.host import require_crf
from aepsl.segmentation.crf import RefineOptions, refine_options


def crf_options(config: StageSettings) -> RefineOptions:
    """Return the CRF options of the configuration.

    Raises:
        AepslError: if pydensecrf is not installed.
    """
    if config["crf.method"] == "dense":
        require_crf()
    given = {k.removeprefix("crf."): v for k, v in config.items() if k.startswith("crf.")}
    return refine_options(**given)
