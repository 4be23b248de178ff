"""Boxes in the layouts of Pascal VOC, COCO and CSV: the same images, and the same faults."""

import csv
import gzip
import json

import numpy as np
import pytest
import torch
from PIL import Image

from hybridonn.core.errors import DataError, SpecError
from hybridonn.core.progress import Silent
from hybridonn.data.load import load_dataset, load_unsplit
from hybridonn.data.readers.box_csv import list_dsb2018_boxes
from hybridonn.spec import Data

SIDE = 24
TRUTH = {
    "train": {
        "a": [("cell", 2, 3, 9, 12)],
        "b": [("disc", 0, 0, 24, 24), ("cell", 5, 5, 8, 8)],
        "c": [],
    },
    "val": {"d": [("disc", 1, 1, 5, 6)]},
    "test": {"e": [("cell", 1, 1, 5, 6)], "f": []},
}
LAYOUTS = ("voc", "coco", "box_csv")


def draw(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(map(ord, path.stem))
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_voc(folder, truth=TRUTH):
    for part, images in truth.items():
        for stem, boxes in images.items():
            draw(folder / "JPEGImages" / f"{stem}.png")
            objects = "".join(
                f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
                f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
                for name, x0, y0, x1, y1 in boxes
            )
            text = f"<annotation><filename>{stem}.png</filename>{objects}</annotation>"
            (folder / "Annotations").mkdir(exist_ok=True)
            (folder / "Annotations" / f"{stem}.xml").write_text(text)
        lists = folder / "ImageSets" / "Main"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{part}.txt").write_text("\n".join(images))


def write_coco(folder, truth=TRUTH):
    names = [
        "unused",
        *sorted({box[0] for part in truth.values() for some in part.values() for box in some}),
    ]
    for part, images in truth.items():
        tree = {
            "images": [{"id": k, "file_name": f"{stem}.png"} for k, stem in enumerate(images)],
            "categories": [{"id": 7 + k, "name": name} for k, name in enumerate(names)],
            "annotations": [],
        }
        for key, (stem, boxes) in enumerate(images.items()):
            draw(folder / part / "images" / f"{stem}.png")
            for name, x0, y0, x1, y1 in boxes:
                number = len(tree["annotations"]) + 1
                tree["annotations"].append(
                    {
                        "id": number,
                        "image_id": key,
                        "category_id": 7 + names.index(name),
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                    }
                )
        (folder / part / "annotations.json").write_text(json.dumps(tree))


def write_box_csv(folder, truth=TRUTH):
    for part, images in truth.items():
        for stem in images:
            draw(folder / part / "images" / f"{stem}.png")
        with (folder / part / "boxes.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["image", "class", "xmin", "ymin", "xmax", "ymax"])
            table.writerows([stem, *box] for stem, boxes in images.items() for box in boxes)


WRITERS = {"voc": write_voc, "coco": write_coco, "box_csv": write_box_csv}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))


def load(name, folder, **more):
    return load_unsplit(Data(name=name, folder=folder, **more), None, Silent())


@pytest.mark.parametrize("name", LAYOUTS)
def test_all_layouts_give_the_same_set(name, tmp_path):
    WRITERS[name](tmp_path / "set")
    found = load(name, tmp_path / "set")
    assert found.classes == ("cell", "disc")
    assert found.images.images.shape == (3, 1, SIDE, SIDE)
    expected = [[[0, 2, 3, 9, 12, 1]], [[1, 0, 0, 24, 24, 1], [0, 5, 5, 8, 8, 1]], []]
    for boxes, rows in zip(found.images.labels, expected, strict=True):
        assert boxes[boxes[:, 0] >= 0].tolist() == rows
    assert found.validation is not None
    assert found.test is not None
    assert found.validation.labels[0, 0].tolist() == [1, 1, 1, 5, 6, 1]
    assert (len(found.validation), len(found.test)) == (1, 2)


@pytest.mark.parametrize("name", LAYOUTS)
def test_stated_classes_have_their_order(name, tmp_path):
    WRITERS[name](tmp_path / "set")
    found = load(name, tmp_path / "set", box_classes=("disc", "cell"))
    assert found.classes == ("disc", "cell")
    assert found.images.labels[0, 0, 0] == 1


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_stated_class_that_no_file_names_is_refused(name, tmp_path):
    WRITERS[name](tmp_path / "set")
    with pytest.raises(DataError, match="'bubble', which no training image"):
        load(name, tmp_path / "set", box_classes=("disc", "cell", "bubble"))


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_object_of_another_class_than_stated_is_named(name, tmp_path):
    WRITERS[name](tmp_path / "set")
    with pytest.raises(
        DataError, match=r"is of class 'disc', and data\.box_classes does not name it"
    ):
        load(name, tmp_path / "set", box_classes=("cell",))


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize(
    ("box", "said"),
    [
        (("cell", 3, 3, 3, 9), "of zero size"),
        (("cell", 9, 3, 4, 9), "inverted"),
        (("cell", 3, 3, 9, 25), "beyond its image of 24 x 24"),
        (("cell", 3, 3, "x", 9), "edges"),
        (("", 3, 3, 8, 9), "names no class"),
    ],
)
def test_a_bad_box_is_named_with_its_file_and_left_out_with_its_image(name, box, said, tmp_path):
    if name == "coco" and box[3] == "x":
        pytest.skip("COCO's boxes are written as numbers here")
    truth = {
        part: {stem: list(boxes) for stem, boxes in some.items()} for part, some in TRUTH.items()
    }
    truth["train"]["a"].append(box)
    WRITERS[name](tmp_path / "set", truth)
    with pytest.raises(DataError, match=said) as refused:
        load(name, tmp_path / "set")
    where = {"voc": "a.xml, object 2", "coco": "annotation 2", "box_csv": "boxes.csv, line 3"}[name]
    assert where in str(refused.value)
    if name != "coco" or box[0]:
        found = load(name, tmp_path / "set", skip_bad=True)
        assert len(found.images) == 2
        assert len(found.skipped) == 1


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_class_of_the_test_part_alone_is_named(name, tmp_path):
    truth = TRUTH | {"test": {"e": [("star", 1, 1, 5, 6)], "f": []}}
    WRITERS[name](tmp_path / "set", truth)
    with pytest.raises(DataError, match="is of class 'star', and no training image has it"):
        load(name, tmp_path / "set")


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_set_without_boxes_is_refused(name, tmp_path):
    WRITERS[name](tmp_path / "set", {"train": {"a": [], "b": []}, "test": {"c": []}})
    with pytest.raises(DataError, match="states no box of any training image"):
        load(name, tmp_path / "set")


@pytest.mark.parametrize("name", LAYOUTS)
def test_edges_that_are_shares_of_the_sides_are_refused(name, tmp_path):
    truth = {
        part: {
            stem: [(kind, *(edge / SIDE for edge in edges)) for kind, *edges in boxes]
            for stem, boxes in some.items()
        }
        for part, some in TRUTH.items()
    }
    WRITERS[name](tmp_path / "set", truth)
    with pytest.raises(DataError, match=r"all 5 boxes of .* from 0 to 1, .*in pixels"):
        load(name, tmp_path / "set")


@pytest.mark.parametrize(("name", "place"), [("voc", "JPEGImages"), ("coco", "train/images")])
def test_images_that_no_annotation_is_about_are_counted(name, place, tmp_path):
    WRITERS[name](tmp_path / "set")
    assert load(name, tmp_path / "set").remarks == ()
    draw(tmp_path / "set" / place / "y.png")
    draw(tmp_path / "set" / place / "z.png")
    (said,) = load(name, tmp_path / "set").remarks
    assert said.startswith("2 images have no annotation and are left out, such as ")
    assert said.endswith("y.png")


@pytest.mark.parametrize("name", LAYOUTS)
def test_classes_that_differ_by_case_alone_are_said(name, tmp_path):
    train = TRUTH["train"] | {"c": [("Cell", 1, 1, 4, 5)]}
    WRITERS[name](tmp_path / "set", TRUTH | {"train": train})
    found = load(name, tmp_path / "set")
    assert found.classes == ("Cell", "cell", "disc")
    assert "classes 'Cell' and 'cell' differ by upper and lower case" in found.remarks[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("c,cell,1,2,3,4,5", "line 5, has 1 more cells than there are columns"),
        ("c,cell,1,2,3", r"line 5, has the edges \['1', '2', '3', None\]"),
        ("c,cell,1_0,2,13,4", "line 5, has the edges .'1_0'"),
    ],
)
def test_a_row_of_other_cells_than_columns_is_named(line, said, tmp_path):
    write_box_csv(tmp_path / "set")
    with (tmp_path / "set" / "train" / "boxes.csv").open("a") as file:
        file.write(line)
    with pytest.raises(DataError, match=said):
        load("box_csv", tmp_path / "set")


def test_an_empty_row_says_that_its_image_has_no_box(tmp_path):
    write_box_csv(tmp_path / "set")
    path = tmp_path / "set" / "train" / "boxes.csv"
    path.write_text(path.read_text().replace(",", ", ") + "c,,,,,\n")
    found = load("box_csv", tmp_path / "set")
    assert (found.images.labels[2, :, 0] == -1).all()


def test_the_size_of_an_image_that_a_row_states_is_compared(tmp_path):
    write_box_csv(tmp_path / "set")
    path = tmp_path / "set" / "train" / "boxes.csv"

    def state(*sizes):
        rows = zip(("width", *sizes), ("height", *sizes), path_lines, strict=True)
        path.write_text("\n".join(f"{line},{wide},{high}" for wide, high, line in rows))
        return load("box_csv", tmp_path / "set")

    path_lines = path.read_text().split()
    state(SIDE, SIDE, SIDE)
    state(8, 24, 3)  # those of the boxes, within a pixel
    with pytest.raises(DataError, match="line 2 has boxes of an image of 48 x 48 pixels"):
        state(48, SIDE, SIDE)
    with pytest.raises(DataError, match="line 4, states another size of image b than"):
        state(SIDE, 20, SIDE)


def test_names_in_lists_may_hold_spaces_and_be_followed_by_the_flag_of_a_class(tmp_path):
    write_voc(tmp_path / "set")
    for place in ("JPEGImages/a.png", "Annotations/a.xml"):
        path = tmp_path / "set" / place
        path.rename(path.with_stem("a of 1"))
    (tmp_path / "set" / "ImageSets" / "Main" / "train.txt").write_text("a of 1 -1\nb  1\nc\n")
    assert len(load("voc", tmp_path / "set").images) == 3


def test_two_annotations_of_one_image_are_named(tmp_path):
    write_voc(tmp_path / "set")
    annotations = tmp_path / "set" / "Annotations"
    (annotations / "a.XML").write_bytes((annotations / "a.xml").read_bytes())
    with pytest.raises(DataError, match=r"a\.xml and a\.XML are of one image"):
        load("voc", tmp_path / "set")


@pytest.mark.parametrize("name", LAYOUTS)
def test_changed_boxes_make_the_labels_anew(name, tmp_path):
    WRITERS[name](tmp_path / "set")
    load(name, tmp_path / "set")
    truth = TRUTH | {"train": TRUTH["train"] | {"a": [("cell", 4, 4, 9, 9)]}}
    WRITERS[name](tmp_path / "set", truth)
    assert load(name, tmp_path / "set").images.labels[0, 0].tolist() == [0, 4, 4, 9, 9, 1]


def test_a_set_of_one_folder_is_split_by_its_number_of_boxes(tmp_path):
    images = {f"i{k:02}": [("cell", 1, 1, 9, 9)] * (1 + k % 3) for k in range(20)}
    write_box_csv(tmp_path / "parts", {"train": images})
    data = Data(name="box_csv", folder=tmp_path / "parts" / "train", size_pixels=(12, 12))
    found = load_dataset(data)
    assert (len(found.train), len(found.validation), len(found.test)) == (14, 2, 4)
    assert found.train.labels.shape == (14, 3, 6)
    assert torch.equal(found.train.labels[0, 0], torch.tensor([0, 0.5, 0.5, 4.5, 4.5, 1]))


def test_files_that_are_missing_or_damaged_are_named(tmp_path):
    write_voc(tmp_path / "voc")
    (tmp_path / "voc" / "JPEGImages" / "a.png").unlink()
    (tmp_path / "voc" / "Annotations" / "b.xml").write_text("<annotation>")
    (tmp_path / "voc" / "Annotations" / "e.xml").unlink()
    with pytest.raises(DataError, match=r"a.xml has no image") as refused:
        load("voc", tmp_path / "voc")
    assert "b.xml is damaged or no XML" in str(refused.value)
    assert "e.xml is missing, but a list names it" in str(refused.value)
    write_coco(tmp_path / "coco")
    (tmp_path / "coco" / "val" / "annotations.json").write_text("[]")
    with pytest.raises(DataError, match=r"annotations.json has no list 'images'"):
        load("coco", tmp_path / "coco")
    write_box_csv(tmp_path / "csv")
    (tmp_path / "csv" / "val" / "boxes.csv").write_text("image,x\na,1\n")
    with pytest.raises(DataError, match=r"has the columns image, x; needed are"):
        load("box_csv", tmp_path / "csv")
    (tmp_path / "csv" / "val" / "boxes.csv").write_text("image,image,x,y,width,height\n")
    with pytest.raises(DataError, match="has the column image twice"):
        load("box_csv", tmp_path / "csv")
    (tmp_path / "csv" / "val" / "boxes.csv").write_text("image,x,y,width,height\nz,1,1,2,2\n")
    with pytest.raises(DataError, match=r"line 2, is of image 'z', which is not in"):
        load("box_csv", tmp_path / "csv")


def change_coco(folder, change):
    write_coco(folder)
    path = folder / "train" / "annotations.json"
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))


@pytest.mark.parametrize(
    ("rows", "changes", "said"),
    [
        ("images", {"id": [1]}, r"image 1, has the id \[1\]"),
        ("images", {"id": 1}, "has the image id 1 twice"),
        ("categories", {"id": {}}, r"category 1, has the id \{\}"),
        ("categories", {"id": 8}, "has the category id 8 twice"),
        ("annotations", {"image_id": [0]}, r"annotation 1, is of image \[0\], which is not listed"),
        ("annotations", {"category_id": {}}, r"annotation 1, is of category \{\}"),
        ("annotations", {"iscrowd": "0"}, "annotation 1, has iscrowd '0'; allowed are 0 and 1"),
        ("annotations", {"bbox": [1, 1, 10**400, 3]}, "annotation 1, has the edges"),
        ("annotations", {"bbox": [True, 1, 4, 3]}, "annotation 1, has the edges"),
        ("annotations", {"bbox": [1, 1, float("nan"), 3]}, r"annotation 1 \(cell\).*finite"),
        ("images", {"width": 48, "height": 24}, "image 0, has boxes of an image of 48 x 24"),
    ],
)
def test_a_fault_of_coco_is_named_with_its_object(rows, changes, said, tmp_path):
    change_coco(tmp_path / "set", lambda tree: tree[rows][0].update(changes))
    with pytest.raises(DataError, match=said) as refused:
        load("coco", tmp_path / "set")
    assert "annotations.json" in str(refused.value)


def test_crowds_are_left_out_and_counted(tmp_path):
    change_coco(tmp_path / "set", lambda tree: tree["annotations"][0].update(iscrowd=1))
    found = load("coco", tmp_path / "set")
    assert not (found.images.labels[0, :, 0] >= 0).any()
    assert found.remarks == ("1 regions are marked as crowds and left out",)


OBJECT = (
    "<object><name>{}</name><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>9</xmax><ymax>12</ymax>"
    "</bndbox></object>"
)
LAUGHS = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 9))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f'<!DOCTYPE z [<!ENTITY a0 "lol">{LAUGHS}]><annotation>{OBJECT.format("&a8;")}',
            "damaged",
        ),
        (
            f'<!DOCTYPE z [<!ENTITY c SYSTEM "file:///etc/passwd">]><annotation>'
            f"{OBJECT.format('&c;')}</annotation>",
            "undefined entity",
        ),
        ("<html></html>", "begins with <html>; Pascal VOC's files with <annotation>"),
        (
            "<annotation><size><width>48</width><height>24</height></size>"
            f"{OBJECT.format('cell')}</annotation>",
            "a.xml has boxes of an image of 48 x 24 pixels .* but the image's file has 24 x 24",
        ),
    ],
)
def test_a_fault_of_an_annotation_is_named_with_its_file(text, said, tmp_path):
    write_voc(tmp_path / "set")
    (tmp_path / "set" / "Annotations" / "a.xml").write_text(text)
    with pytest.raises(DataError, match=said):
        load("voc", tmp_path / "set")
    assert len(load("voc", tmp_path / "set", skip_bad=True).images) == 2


def test_a_size_that_no_tool_knew_is_no_fault(tmp_path):
    write_voc(tmp_path / "set")
    size = "<size><width>0</width><height>0</height></size>"
    text = f"<annotation>{size}{OBJECT.format('cell')}</annotation>"
    (tmp_path / "set" / "Annotations" / "a.xml").write_text(text)
    assert len(load("voc", tmp_path / "set").images) == 3


def test_coco_as_it_is_published(tmp_path):
    write_coco(tmp_path / "parts")
    folder = tmp_path / "coco"
    (folder / "annotations").mkdir(parents=True)
    for part in ("train", "val"):
        (tmp_path / "parts" / part / "images").rename(folder / f"{part}2017")
        (tmp_path / "parts" / part / "annotations.json").rename(
            folder / "annotations" / f"instances_{part}2017.json"
        )
    found = load("coco", folder)
    assert len(found.images) == 3
    assert found.validation is None
    assert found.test is not None  # the labels of COCO's own test part are secret
    assert len(found.test) == 1


def test_nuclei_are_found_by_the_start_of_their_image_s_id(tmp_path):
    draw(tmp_path / "images" / "00071198d059ba7f.png")
    text = "image_id,x,y,width,height,area\n00071198d059ba7f5914a526,1,2,3,4,12\n"
    (tmp_path / "boxes.csv.gz").write_bytes(gzip.compress(text.encode()))
    (item,) = list_dsb2018_boxes(tmp_path).train
    assert [(box.left, box.top, box.right, box.bottom) for box in item.boxes] == [(1, 2, 4, 6)]


def test_box_classes_are_of_sets_with_boxes():
    with pytest.raises((ValueError, SpecError), match="box_classes is given with name: digits"):
        Data(name="digits", box_classes=("a",))
