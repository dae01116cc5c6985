"""Take the pictures of the documents from the page of a run: python tools/screenshots.py [scenes].

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
SHOWN = "train/train_0053"
"""Split and id of the image whose stages are shown."""

STRIP = (
    "photograph",
    "CAM, step 1: green",
    "photograph erased after step 1",
    "photograph erased after step 3",
    "label; ignored pixels are hatched",
    "prediction",
)
"""Texts of the pictures of this image that the strip shows, in this order."""

GAP = 12
"""Pixels between the pictures of the strip."""


def save(content: bytes, name: str, *, width: int) -> None:
    """Write a screenshot, scaled to ``width`` pixels."""
    with Image.open(io.BytesIO(content)) as image:
        height = round(image.height * width / image.width)
        small = image.resize((width, height), Image.Resampling.LANCZOS)
    PICTURES.mkdir(exist_ok=True)
    small.save(PICTURES / name, quality=85)


def side_by_side(contents: list[bytes]) -> bytes:
    """Return a PNG of pictures of one size side by side, transparent in between."""
    pictures = [Image.open(io.BytesIO(content)) for content in contents]
    width, height = pictures[0].size
    strip = Image.new("RGBA", (len(pictures) * (width + GAP) - GAP, height))
    for k, picture in enumerate(pictures):
        strip.paste(picture, (k * (width + GAP), 0))
    written = io.BytesIO()
    strip.save(written, "PNG")
    return written.getvalue()


def take(page: Page, address: str) -> None:
    """Take the first screen of a page, one opened image, and a strip of its pictures."""
    page.goto(address)
    page.wait_for_load_state("networkidle")
    save(page.screenshot(), "page.webp", width=1000)
    page.set_viewport_size({"width": 1400, "height": 2100})  # all stages fit
    page.goto(f"{address}#image={SHOWN}")
    page.reload()
    page.wait_for_selector("dialog[open] img, dialog[open] canvas")
    page.wait_for_timeout(1000)  # ms, for the last picture
    opened = page.locator("dialog[open]")
    save(opened.screenshot(), "image.webp", width=1000)
    pictures = [opened.locator(".picture", has=page.get_by_alt_text(n, exact=True)) for n in STRIP]
    save(side_by_side([picture.screenshot() for picture in pictures]), "strip.webp", width=1200)


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
