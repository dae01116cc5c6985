"""Find the delta with which a step mines a given area, so that erase rules are comparable."""

from __future__ import annotations

import numpy as np

from aepsl.console import log
from aepsl.mining.erase import delta_for_area, mined_fraction
from aepsl.stages._options import CamStore, Output, Settings
from aepsl.stores.atomic import write_manifest_json
from aepsl.stores.records import Store


def calibrate_delta(
    config: Settings,
    cams: CamStore,
    output: Output,
) -> None:
    """Find the delta with which a step mines a given fraction of the pixels.

    Writes the delta, found over all training images, and the fraction that it mines.
    """
    rule, area = config["mining.erase_rule"], float(config["mining.area"])
    store = Store(cams, kind="cams")
    heatmaps = [
        heatmap for name in store.ids() for heatmap in store[name].arrays["cam"].astype(np.float32)
    ]
    delta = delta_for_area(heatmaps, rule=rule, area=area)
    reached = mined_fraction(heatmaps, rule=rule, delta=delta)
    log.info("%s: delta %.4f mines %.4f of the pixels, %.4f wanted", rule, delta, reached, area)
    write_manifest_json(output, {"rule": rule, "delta": delta, "area": reached})
