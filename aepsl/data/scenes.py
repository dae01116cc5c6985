"""The generated dataset: objects with a small discriminative head and a large body.

A classifier first relies on the head only, a small checkerboard in the bright colour of its class.
Once the head is erased, it finds the body, which is weakly discriminative: its colour is correlated
with the class and fades away from the head. Smaller blobs in the colours of bodies, without a head,
are distractors. Masks are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aepsl.config.data import SCENE_CLASSES

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

HEAD_HUES = (0, 60, 30, 112, 146)
"""Hue of each class's head, in OpenCV's half degrees (0..179)."""

BODY_HUES = (72, 144, 108, 0, 36)
"""Mean hue of each class's body; it differs from the hue of the head."""

TAIL_SATURATION, HEAD_SATURATION = 30, 190
"""Saturation of a body at its tail and at its head, 0..255."""

HEAD_LENGTH = 0.125
"""Diameter of a head, as a fraction of the image side."""


@dataclass(frozen=True)
class SceneOptions:
    """Parameters of the scenes; lengths in pixels."""

    size: int
    two_objects: float
    hue_spread: float
    stray_hue: float
    distractors: int
    clutter: int


class Scene(NamedTuple):
    """One generated image with its labels and mask."""

    image: Image
    """(size, size, 3) RGB."""
    mask: NDArray[np.uint8]
    """(size, size): 0 background, 1 + class."""
    labels: tuple[str, ...]
    """Image labels, in the order of :data:`SCENE_CLASSES`."""


class _Pose(NamedTuple):
    x: float
    y: float
    length: float
    breadth: float
    angle: float

    def local(self, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return each pixel's coordinates along and across the object, in half-axes."""
        rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        along = (columns - self.x) * cos + (rows - self.y) * sin
        across = (rows - self.y) * cos - (columns - self.x) * sin
        return along / (self.length / 2), across / (self.breadth / 2)


def _smooth_noise(rng: np.random.Generator, size: int, cells: int) -> NDArray[np.float32]:
    coarse = rng.standard_normal((cells, cells)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def _colour(hue: float, saturation: float, value: float) -> NDArray[np.float32]:
    pixel = np.array([[[hue % 180, saturation, value]]], np.float32).astype(np.uint8)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)


def _background(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    base = _colour(rng.uniform(0, 180), rng.uniform(10, 45), rng.uniform(150, 210))
    canvas = np.tile(base, (size, size, 1))
    canvas += 9 * _smooth_noise(rng, size, 4)[..., None]
    return canvas + 5 * _smooth_noise(rng, size, size // 3)[..., None]


def _paint(
    canvas: NDArray[np.float32],
    where: Mask,
    colour: NDArray[np.float32],
    texture: NDArray[np.float32] | float,
) -> None:
    shaded = colour + np.asarray(texture, np.float32)
    canvas[where] = np.broadcast_to(shaded, canvas.shape)[where]


def _checkerboard(along: NDArray[np.float32], across: NDArray[np.float32]) -> Mask:
    """Return the coloured squares of a head's checkerboard; coordinates in head radii."""
    return (np.sin(along * 5) > 0) ^ (np.sin(across * 5) > 0)


def _pose(rng: np.random.Generator, size: int, *, place: int, places: int) -> _Pose:
    """Draw the pose of an object; two objects stand upright, side by side."""
    length = rng.uniform(0.65, 0.85) * size / (1.0 if places == 1 else 1.2)
    centre = 0.5 if places == 1 else (0.26, 0.74)[place]
    slack = 0.08 if places == 1 else 0.02
    upright = rng.choice([1, -1]) * np.pi / 2 + rng.uniform(-0.4, 0.4)
    return _Pose(
        x=(centre + rng.uniform(-slack, slack)) * size,
        y=rng.uniform(0.42, 0.58) * size,
        length=length,
        breadth=length * rng.uniform(0.5, 0.7),
        angle=upright if places == 2 else rng.uniform(0, 2 * np.pi),
    )


def _object(
    rng: np.random.Generator,
    canvas: NDArray[np.float32],
    kind: int,
    pose: _Pose,
    options: SceneOptions,
) -> Mask:
    """Paint one object of class ``kind``; return its mask."""
    size, length = options.size, pose.length
    along, across = pose.local(size)
    body = along**2 + across**2 < 1
    hint = rng.integers(len(BODY_HUES)) if rng.random() < options.stray_hue else kind
    hue = BODY_HUES[hint] + rng.normal(0, options.hue_spread)
    texture = 14 * _smooth_noise(rng, size, size // 4)[..., None]
    dull, vivid = (_colour(hue, tone, 130) for tone in (TAIL_SATURATION, HEAD_SATURATION))
    towards_head = ((1 + along) / 2).clip(0, 1)[..., None]
    _paint(canvas, body, rng.uniform(0.8, 1.2) * (dull + towards_head * (vivid - dull)), texture)
    head_pose = pose._replace(
        x=pose.x + 0.30 * length * np.cos(pose.angle),
        y=pose.y + 0.30 * length * np.sin(pose.angle),
        length=HEAD_LENGTH * size,
        breadth=HEAD_LENGTH * size,
    )
    along, across = head_pose.local(size)
    head = along**2 + across**2 < 1
    _paint(canvas, head, np.array([240, 240, 235], np.float32), 0.0)
    _paint(canvas, head & _checkerboard(along, across), _colour(HEAD_HUES[kind], 255, 200), 0.0)
    return body | head


def _blob(
    rng: np.random.Generator,
    canvas: NDArray[np.float32],
    taken: Mask,
    *,
    length: float,
    colour: NDArray[np.float32],
) -> None:
    """Paint a small ellipse at a random position, behind existing objects."""
    size = len(canvas)
    pose = _Pose(
        x=rng.uniform(0.05, 0.95) * size,
        y=rng.uniform(0.05, 0.95) * size,
        length=length,
        breadth=length * rng.uniform(0.5, 1),
        angle=rng.uniform(0, np.pi),
    )
    along, across = pose.local(size)
    texture = 10 * _smooth_noise(rng, size, size // 4)[..., None]
    _paint(canvas, (along**2 + across**2 < 1) & ~taken, colour, texture)


def make_scene(rng: np.random.Generator, options: SceneOptions) -> Scene:
    """Draw one scene; all its randomness comes from ``rng``."""
    size = options.size
    canvas = _background(rng, size)
    count = 2 if rng.random() < options.two_objects else 1
    kinds = rng.choice(len(SCENE_CLASSES), size=count, replace=False)
    mask = np.zeros((size, size), np.uint8)
    for place, kind in enumerate(kinds):
        pose = _pose(rng, size, place=place, places=count)
        where = _object(rng, canvas, int(kind), pose, options)
        mask[where] = 1 + kind
    for _ in range(options.distractors):
        hue = BODY_HUES[rng.integers(len(BODY_HUES))] + rng.normal(0, options.hue_spread)
        colour = _colour(hue, rng.uniform(50, 110), rng.uniform(100, 160))
        length = rng.uniform(0.1, 0.18) * size
        _blob(rng, canvas, mask > 0, length=length, colour=colour)
    for _ in range(options.clutter):
        colour = _colour(rng.uniform(0, 180), rng.uniform(0, 40), rng.uniform(60, 240))
        length = rng.uniform(0.04, 0.1) * size
        _blob(rng, canvas, mask > 0, length=length, colour=colour)
    canvas += rng.normal(0, 4, canvas.shape)
    labels = tuple(name for k, name in enumerate(SCENE_CLASSES) if (mask == 1 + k).any())
    return Scene(canvas.clip(0, 255).astype(np.uint8), mask, labels)
