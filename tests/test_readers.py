"""Literal layouts, and what the readers find in them."""

import json
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from aepsl.data.catalogue import Catalogue, Item, with_drawn_splits
from aepsl.data.names import id_of, split_cell
from aepsl.data.readers import READERS, Layout
from aepsl.errors import AepslError


def photograph(path, colour=(1, 2, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), colour).save(path)


def found(catalogue):
    return {
        image_id: (item.path.name, item.labels, item.split)
        for image_id, item in catalogue.items.items()
    }


def problems(catalogue):
    return [f"{problem.where}: {problem.what}" for problem in catalogue.problems]


def test_a_folder_a_class(tmp_path):
    for place in (
        "dog/1.png",
        "dog/walks/2 b.JPG",
        "my cat/ä.png",
        "background/3.png",
        "4.png",
        ".thumbnails/5.png",
        "masks/dog/1.png",
        "dog/notes.txt",
    ):
        photograph(tmp_path / place.replace("txt", "png"), (len(place), 0, 0))
    (tmp_path / "dog/notes.png").rename(tmp_path / "dog/notes.txt")
    assert found(READERS["folder"](tmp_path, Layout(mask_folder="masks"))) == {
        "4": ("4.png", None, None),
        "background__3": ("3.png", (), None),
        "dog__1": ("1.png", ("dog",), None),
        "dog__walks__2 b": ("2 b.JPG", ("dog",), None),
        "my cat__ä": ("ä.png", ("my cat",), None),
    }


def test_folders_of_splits(tmp_path):
    for place in ("train/dog/1.png", "valid/dog/1.png", "test/2.png"):
        photograph(tmp_path / place)
    assert found(READERS["folder"](tmp_path, Layout())) == {
        "test__2": ("2.png", None, "test"),
        "train__dog__1": ("1.png", ("dog",), "train"),
        "valid__dog__1": ("1.png", ("dog",), "valid"),
    }


def test_a_photograph_in_two_folders_shows_both_classes(tmp_path):
    photograph(tmp_path / "cat/1.png", (9, 9, 9))
    photograph(tmp_path / "dog/1.png", (9, 9, 9))
    photograph(tmp_path / "dog/2.png", (1, 9, 9))
    photograph(tmp_path / "cat/2.png", (2, 9, 9))  # another photograph of the same name
    assert found(READERS["folder"](tmp_path, Layout())) == {
        "cat__1": ("1.png", ("cat", "dog"), None),
        "cat__2": ("2.png", ("cat",), None),
        "dog__2": ("2.png", ("dog",), None),
    }


def test_two_files_of_one_name_are_a_problem(tmp_path):
    photograph(tmp_path / "dog/1.jpg")
    photograph(tmp_path / "dog/1.png")
    (text,) = problems(READERS["folder"](tmp_path, Layout()))
    assert "1.png: has the same name as" in text


TABLES = {
    "comma": "image,labels\na.png,cat dog\nb.png,\n",
    "semicolon": "image;labels\na.png;cat,dog\nb.png;background\n",
    "tab": "file_name\ttags\na\tcat|dog\nb\t\n",
    "space": "id label\na cat;dog\nb \n",
    "one-hot": "filename, cat, dog\na.png, 1, 1\nb.png, 0, 0\n",
    "lists": "image;labels\na.png;['cat', 'dog']\nb.png;[]\n",
    "quoted": 'image,labels\n"a.png","cat,dog"\n"b.png",""\n',
    "Windows": "\ufeffImage;Labels\r\n.\\a.png;cat dog\r\nb.png;\r\n",
    "no suffix": "image_id,label\na,cat dog\nb,\n",
}


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_tables(tmp_path, text):
    photograph(tmp_path / "photos/a.png")
    photograph(tmp_path / "photos/old/b.png")
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8", newline="")
    assert found(READERS["csv"](tmp_path, Layout())) == {
        "photos__a": ("a.png", ("cat", "dog"), None),
        "photos__old__b": ("b.png", (), None),
    }


def test_names_with_umlauts_are_found_in_each_form_and_encoding(tmp_path):
    photograph(tmp_path / unicodedata.normalize("NFD", "Grün 1.png"))
    text = "Datei;Klasse\nGrün 1.png;Straßenbahn\n"
    layout = Layout(image_column="datei", label_column="Klasse")
    for encoding in ("utf-8", "cp1252"):
        (tmp_path / "labels.csv").write_text(text, encoding=encoding)
        (item,) = READERS["csv"](tmp_path, layout).items.items()
        assert item[0] == unicodedata.normalize("NFC", "Grün 1")
        assert item[1].labels == ("Straßenbahn",)


def test_a_class_name_with_a_space_alone_in_its_cell(tmp_path):
    photograph(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("image,label\na,dining table\n")
    layout = Layout(class_names=("dining table",))
    assert READERS["csv"](tmp_path, layout).items["a"].labels == ("dining table",)
    assert READERS["csv"](tmp_path, Layout()).items["a"].labels == ("dining", "table")


def test_columns_are_found_by_what_they_hold(tmp_path):
    for name in ("größer 1", "größer 2", "klein"):
        photograph(tmp_path / "März 2024" / f"{name}.png")
    rows = ["großes Flugzeug;größer 1.png", "großes Flugzeug;größer 2.png", "Kätzchen;klein.png"]
    text = "\n".join(["Schlagwörter;Bild", *rows])
    (tmp_path / "Liste.csv").write_text(text, encoding="cp1252")
    items = READERS["csv"](tmp_path, Layout()).items
    assert {i: item.labels for i, item in items.items()} == {
        "März 2024__größer 1": ("großes Flugzeug",),
        "März 2024__größer 2": ("großes Flugzeug",),
        "März 2024__klein": ("Kätzchen",),
    }


def test_splits_and_masks_of_a_table(tmp_path):
    photograph(tmp_path / "a.png")
    photograph(tmp_path / "m/a.png")
    (tmp_path / "labels.csv").write_text("image,label,split,mask\na.png,cat,val,m/a.png\n")
    (item,) = READERS["csv"](tmp_path, Layout()).items.values()
    assert (item.split, item.mask) == ("val", tmp_path / "m/a.png")


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("file,annotation\na.png,cat dog\n", ("cat", "dog")),
        ("file,segmentation,dog\na.png,1,0\n", ("segmentation",)),
    ],
)
def test_a_column_of_labels_is_not_taken_for_masks(tmp_path, text, labels):
    photograph(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text(text)
    (item,) = READERS["csv"](tmp_path, Layout()).items.values()
    assert (item.labels, item.mask) == (labels, None)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("", None),
        (".\\m\\a.png", "m/a.png"),
        ("../tables/m/a.png", "m/a.png"),
        ("m/Grün.png", unicodedata.normalize("NFD", "m/Grün.png")),
        (".", "tables/labels.csv:2: .: no such mask"),
        ("m/b.png", "tables/labels.csv:2: m/b.png: no such mask"),
        ("../out.png", "tables/labels.csv:2: ../out.png: the mask lies outside of"),
        ("/tmp/out.png", "tables/labels.csv:2: /tmp/out.png: the mask lies outside of"),
    ],
)
def test_masks_that_a_table_names(tmp_path, cell, expected):
    root = tmp_path / "tables"
    for place in ("a.png", "m/a.png", unicodedata.normalize("NFD", "m/Grün.png"), "../out.png"):
        photograph(root / place)
    text = f"image,label,mask\na.png,cat,{cell}\nm/a.png,cat,m/a.png\n"
    (root / "labels.csv").write_text(text)
    catalogue = READERS["csv"](root, Layout())
    if found_problems := problems(catalogue):
        assert found_problems[0].startswith(f"{tmp_path}/{expected}")
    else:
        assert catalogue.items["a"].mask == (root / expected if expected else None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,labels\nx.png,cat\n", "labels.csv:2: x.png: no such photograph"),
        ("image,labels\na.png,cat\na.png,dog\n", "a.png: is listed twice"),
        ("image,labels\nc.png,cat\n", "c.png: may mean 2 files"),
    ],
)
def test_rows_that_name_no_photograph(tmp_path, text, message):
    for place in ("a.png", "1/c.png", "2/c.png"):
        photograph(tmp_path / place)
    (tmp_path / "labels.csv").write_text(text)
    assert any(message in problem for problem in problems(READERS["csv"](tmp_path, Layout())))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no file *.csv or *.tsv"),
        ({"a.csv": "x", "b.csv": "x"}, "several files may hold the labels: a.csv, b.csv"),
        ({"a.csv": "image,labels\n"}, "the table has no rows"),
        ({"a.csv": "name,labels\nx,y\n"}, "no column of photographs among name, labels"),
        ({"a.csv": "image,kind,size\na,3,4\n"}, "no column of labels among image, kind, size"),
        ({"a.csv": "image,mask\na,m/a.png\n"}, "no column of labels among image, mask"),
        ({"a.csv": "image\na\n"}, "no column of labels among image"),
        ({"a.csv": 'image,labels\n"a"b,c\n'}, "not CSV"),
        (
            {"a.csv": "image,labels\na.png,cat,\na.png,cat,dog\n"},
            "a.csv:3: the row has more cells than the header",
        ),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, files, message):
    photograph(tmp_path / "a.png")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(AepslError) as caught:
        READERS["csv"](tmp_path, Layout())
    assert message in str(caught.value)


def test_coco_labels_are_the_categories_of_the_annotations(tmp_path):
    for name in ("a.png", "b.png"):
        photograph(tmp_path / "images" / name)
    content = {
        "categories": [{"id": 3, "name": "cat"}, {"id": 8, "name": "stop sign"}],
        "images": [{"id": 70, "file_name": "a.png"}, {"id": 71, "file_name": "b.png"}],
        "annotations": [{"image_id": 70, "category_id": k} for k in (8, 3, 8)],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    assert found(READERS["coco"](tmp_path, Layout())) == {
        "images__a": ("a.png", ("stop sign", "cat"), None),
        "images__b": ("b.png", (), None),
    }
    content["annotations"][0]["category_id"] = 9
    (tmp_path / "instances.json").write_text(json.dumps(content))
    with pytest.raises(AepslError, match=r"not COCO's layout \(KeyError: 9\)"):
        READERS["coco"](tmp_path, Layout())


def test_hugging_face_metadata(tmp_path):
    for place in ("train/x/a.png", "train/b.png", "test/a.png"):
        photograph(tmp_path / place)
    rows = '{"file_name": "x/a.png", "labels": ["cat"]}\n\n{"file_name": "b.png", "labels": null}\n'
    (tmp_path / "train/metadata.jsonl").write_text(rows)
    (tmp_path / "test/metadata.csv").write_text("file_name,labels\na.png,dog\n")
    assert found(READERS["huggingface"](tmp_path, Layout())) == {
        "test__a": ("a.png", ("dog",), "test"),
        "train__b": ("b.png", (), "train"),
        "train__x__a": ("a.png", ("cat",), "train"),
    }


@pytest.mark.parametrize("name", READERS)
def test_a_folder_without_a_photograph_is_refused(tmp_path, name):
    with pytest.raises(AepslError):
        READERS[name](tmp_path, Layout())


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("", []),
        ("cat", ["cat"]),
        (" cat  dog ", ["cat", "dog"]),
        ("my cat|dog", ["my cat", "dog"]),
        ("my cat; dog", ["my cat", "dog"]),
        ('["my cat", "dog"]', ["my cat", "dog"]),
        ("[my cat, dog]", ["my cat", "dog"]),
    ],
)
def test_cells(cell, labels):
    assert split_cell(cell, where="labels.csv:2") == labels


def many(counts):
    items = {}
    for name, count in counts.items():
        labels = None if name == "?" else tuple(name.split())
        for number in range(count):
            items[f"{name}{number}"] = Item(Path(f"{name}{number}.png"), labels)
    return Catalogue(items)


def drawn(catalogue, **options):
    options = {"fraction": 0.2, "seed": 0, "train": "train", "val": "val"} | options
    items = with_drawn_splits(catalogue, **options).items
    return {image_id for image_id, item in items.items() if item.split == "val"}


def test_splits_are_drawn_by_class():
    catalogue = many({"cat": 10, "dog": 5, "cat bird": 2, "": 5, "?": 3, "rare": 1})
    chosen = drawn(catalogue)
    per_class = {
        name: sum(image_id.rstrip("0123456789") == name for image_id in chosen)
        for name in ("cat", "dog", "cat bird", "", "?", "rare")
    }
    assert per_class == {"cat": 2, "dog": 1, "cat bird": 1, "": 1, "?": 3, "rare": 0}
    assert chosen == drawn(catalogue)
    assert chosen != drawn(catalogue, seed=1)
    assert drawn(catalogue, fraction=0) == {"?0", "?1", "?2"}


def test_a_new_photograph_moves_few_others():
    before, after = drawn(many({"cat": 50})), drawn(many({"cat": 55}))
    assert len(before - after) <= 2
    assert len(after) == 11


def test_given_splits_are_kept():
    item = Item(Path("a.png"), ("cat",), "holdout")
    catalogue = Catalogue({"a": item, "b": Item(Path("b.png"), ("cat",))})
    options = {"fraction": 0.5, "seed": 0, "train": "train", "val": "val"}
    assert with_drawn_splits(catalogue, **options) is catalogue


def test_ids():
    assert id_of(Path("a/b c.tar.jpg")) == "a__b c.tar"
