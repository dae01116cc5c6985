import itertools

import numpy as np
import pytest
from PIL import Image

from aepsl.data.survey import Finding, Photograph, near_duplicates, perceptual_hash, survey, verdict


def photograph(name, labels="cat", *, split="train", sha="", bits, size=(400, 500)):
    sha256 = sha or name
    return Photograph(name, split, tuple(labels.split()), *size, sha256, bits)


def said(photographs, classes=("cat", "dog"), crop=160):
    found = survey(photographs, classes=classes, train="train", crop=crop)
    return [(finding.what, finding.serious) for finding in found]


def balanced(count=40):
    random = np.random.default_rng(0)
    return [
        photograph(f"{name}{n}", name, bits=int(random.integers(0, 2**63)))
        for n in range(count)
        for name in ("cat", "dog")
    ]


def test_nothing_to_say_of_a_good_dataset():
    assert said(balanced()) == []


@pytest.mark.parametrize(("split", "serious"), [("val", True), ("train", False)])
def test_equal_files(split, serious):
    again = photograph("again", split=split, sha="cat3", bits=0b10111 << 20)
    places = {"val": "in two splits", "train": "twice in one split"}
    what = f"the same file {places[split]}: 1 pair(s), for instance cat3 and again"
    assert said([*balanced(), again]) == [(what, serious)]


def test_near_duplicates_against_a_slow_loop():
    random = np.random.default_rng(1)
    base = random.integers(0, 2**63, 20).tolist()
    hashes = base + [value ^ (1 << 5) ^ (1 << 40) for value in base[:4]]
    slow = {
        (a, b)
        for a, b in itertools.combinations(range(len(hashes)), 2)
        if (hashes[a] ^ hashes[b]).bit_count() <= 4
    }
    assert set(near_duplicates(hashes)) == slow
    assert len(slow) == 4
    assert not list(near_duplicates([0, 0, 2**64 - 1, 2**64 - 1]))
    assert not list(near_duplicates([]))


def test_the_hash_survives_scaling_and_brightness_and_tells_photographs_apart():
    random = np.random.default_rng(2)
    one, other = random.integers(0, 200, (2, 12, 12, 3), np.uint8)
    images = [np.asarray(Image.fromarray(one).resize(size)) for size in ((300, 200), (90, 60))]
    first = perceptual_hash(images[0])
    assert (first ^ perceptual_hash(images[1])).bit_count() <= 4
    assert (first ^ perceptual_hash(images[0] + 20)).bit_count() <= 4
    different = np.asarray(Image.fromarray(other).resize((300, 200)))
    assert (first ^ perceptual_hash(different)).bit_count() > 12


def test_the_hash_literal():
    ramp = np.repeat(np.arange(9, dtype=np.uint8)[None, :, None] * 20, 8, axis=0).repeat(3, axis=2)
    assert perceptual_hash(ramp) == 0
    assert perceptual_hash(ramp[:, ::-1]) == 2**64 - 1


def test_balance():
    few = [p for p in balanced() if p.labels == ("cat",) or p.id in ("dog0", "dog1")]
    assert said(few) == [("fewer than 20 training photographs: dog (2)", False), (
        "cat has 40 photographs, dog 2", False)]  # fmt: skip
    assert said(balanced(), classes=("cat", "dog", "owl")) == [
        ("no training photograph shows owl", True)
    ]


def test_classes_that_are_never_apart():
    both = [photograph(p.id, "cat dog", bits=p.hash) for p in balanced()]
    assert said(both) == [("cat and dog are always shown together", True)]


def test_one_class_needs_photographs_without_it():
    cats = [p for p in balanced() if p.labels == ("cat",)]
    assert said(cats, classes=("cat",)) == [
        ("every training photograph shows cat, the only class", True)
    ]
    random = np.random.default_rng(3)
    nothing = [photograph(f"n{n}", "", bits=int(random.integers(0, 2**63))) for n in range(3)]
    assert said([*cats, *nothing], classes=("cat",)) == []


def test_small_photographs():
    small = photograph("small", "cat", bits=0b1011011101 << 30, size=(70, 300))
    assert said([*balanced(), small]) == [
        (
            "1 photographs are smaller than half a training crop (160 px), for instance small with"
            " 300 x 70 px",
            False,
        )
    ]


def test_the_verdict():
    counts = {"cat": 100, "dog": 19}
    assert "the rarest class has 19" in verdict([], counts=counts)
    assert verdict([], counts={"cat": 20}).startswith("Enough to start with: at least 20")
    assert verdict([], counts={"cat": 100}).startswith("Enough: at least 100")
    assert verdict([Finding("", "", True)], counts=counts).startswith("Not yet")
    assert verdict([], counts={}).startswith("Enough for a first try only: the rarest class has 0")
