"""Take the pictures of README.md from the page of a run: python tools/screenshots.py [scenes].

They need Chromium. Look at them before you commit them.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
SHOWN = "train/train_0020"
"""Split and id of the image whose stages are shown."""


def save(content: bytes, name: str, *, width: int) -> None:
    """Write a screenshot, scaled to ``width`` pixels."""
    with Image.open(io.BytesIO(content)) as image:
        height = round(image.height * width / image.width)
        small = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    PICTURES.mkdir(exist_ok=True)
    small.save(PICTURES / name, quality=85)


def take(page: Page, address: str) -> None:
    """Take the first screen of a page, and one opened image."""
    page.goto(address)
    page.wait_for_load_state("networkidle")
    save(page.screenshot(), "page.webp", width=1000)
    page.set_viewport_size({"width": 1400, "height": 1880})  # all stages fit
    page.goto(f"{address}#image={SHOWN}")
    page.reload()
    page.wait_for_selector("dialog[open] img, dialog[open] canvas")
    page.wait_for_timeout(1000)  # ms, for the last picture
    save(page.locator("dialog[open]").screenshot(), "strip.webp", width=1000)


def main() -> None:
    """Take the pictures of a run."""
    run = sys.argv[1] if len(sys.argv) > 1 else "scenes"
    path = (ROOT / "results" / run / "report" / "index.html").resolve()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        take(browser.new_page(viewport={"width": 1400, "height": 760}), path.as_uri())
        browser.close()


if __name__ == "__main__":
    main()
