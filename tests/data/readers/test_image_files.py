import numpy as np
import pytest
from PIL import Image

from hybridonn.core.errors import DataError
from hybridonn.data.readers.image_files import Target, read_mask, read_picture, read_shape, resize
from hybridonn.data.readers.listing import Item, MaskRule

COLOUR, GREY = Target(6, 8, grey=False), Target(6, 8, grey=True)


def save(path, values, mode=None):
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(path)
    return path


def colours(seed=0, size=(6, 8)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("ending", "mode", "grey"),
    [
        ("png", "RGB", False),
        ("png", "RGBA", False),
        ("png", "L", True),
        ("png", "LA", True),
        ("png", "1", True),
        ("png", "P", False),
        ("bmp", "RGB", False),
        ("tif", "CMYK", False),
        ("gif", "P", False),
        ("jpg", "RGB", False),
        ("jpg", "L", True),
    ],
)
def test_every_depth_becomes_grey_or_three_colours(tmp_path, ending, mode, grey):
    path = save(tmp_path / f"x.{ending}", colours(), mode)
    shape = read_shape(path)
    assert (shape.height, shape.width, shape.grey) == (6, 8, grey)
    with Image.open(path) as image:
        three, one = np.asarray(image.convert("RGB")), np.asarray(image.convert("L"))
    np.testing.assert_array_equal(read_picture(path, COLOUR), three.transpose(2, 0, 1))
    np.testing.assert_allclose(read_picture(path, GREY)[0], one, atol=8 if ending == "jpg" else 0)


def test_of_16_bits_the_upper_8_are_kept(tmp_path):
    values = (np.arange(48, dtype=np.uint16).reshape(6, 8) * 1300 + 77).astype(np.uint16)
    for ending in ("png", "tif"):
        path = save(tmp_path / f"x.{ending}", values)
        assert read_shape(path).grey
        np.testing.assert_array_equal(read_picture(path, GREY)[0], values >> 8)
        np.testing.assert_array_equal(read_picture(path, COLOUR)[2], values >> 8)


def test_depths_that_no_scene_has_are_refused(tmp_path):
    path = save(tmp_path / "x.tif", np.zeros((6, 8), np.float32))
    with pytest.raises(DataError, match=r"x.tif has float values of 32 bits; allowed are unsigned"):
        read_shape(path)
    path = save(tmp_path / "y.tif", np.full((6, 8), 70000, np.int32))
    with pytest.raises(DataError, match=r"y.tif has signed values of 32 bits"):
        read_picture(path, GREY)
    frames = [Image.fromarray(colours(seed)) for seed in range(3)]
    frames[0].save(tmp_path / "z.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"z.gif holds 3 images"):
        read_shape(tmp_path / "z.gif")


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "bmp", "tif"])
def test_truncated_pictures_are_named(tmp_path, ending):
    path = save(tmp_path / f"x.{ending}", colours(size=(60, 80)))
    whole = path.read_bytes()
    for share in (0.0, 0.01, 0.5, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(DataError, match=rf"x.{ending} is damaged or no image: \S+"):
            read_picture(path, Target(60, 80, grey=False))


def test_a_changed_byte_of_a_png_is_found(tmp_path):
    path = save(tmp_path / "x.png", colours(size=(60, 80)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x.png is damaged"):
        read_picture(path, Target(60, 80, grey=False))


def ramp(height, width):
    """An image whose red is the column and green the row, in parts of 250."""
    rows, columns = np.mgrid[0:height, 0:width]
    red, green = 250 * (columns + 0.5) / width, 250 * (rows + 0.5) / height
    return Image.fromarray(np.dstack([red, green, 0 * red + 200]).round().astype(np.uint8))


@pytest.mark.parametrize(
    ("how", "left", "right", "top", "bottom"),
    [
        # 40 x 80 to 20 x 20: cropped to the middle 40 x 40, so red runs from 1/4 to 3/4.
        ("crop", 62.5, 187.5, 0, 250),
        ("stretch", 0, 250, 0, 250),
    ],
)
def test_what_becomes_of_the_edges(how, left, right, top, bottom):
    found = np.asarray(resize(ramp(40, 80), Target(20, 20, False, how), smooth=True)).astype(float)
    step_across, step_down = (right - left) / 20, (bottom - top) / 20
    # One column at each edge is off by the kernel that the edge cuts.
    across = left + (np.arange(20) + 0.5) * step_across
    down = top + (np.arange(20) + 0.5) * step_down
    np.testing.assert_allclose(found[10, 1:-1, 0], across[1:-1], atol=1.0)
    np.testing.assert_allclose(found[1:-1, 10, 1], down[1:-1], atol=1.0)
    assert (found[..., 2] == 200).all()


def test_padding_is_black_and_centred():
    found = np.asarray(resize(ramp(40, 80), Target(20, 20, False, "pad"), smooth=True))
    assert (found[:5] == 0).all()
    assert (found[15:] == 0).all()
    assert (found[5:15, :, 2] == 200).all()
    tall = np.asarray(resize(ramp(80, 40), Target(20, 20, False, "pad"), smooth=True))
    assert (tall[:, :5] == 0).all()
    assert (tall[:, 5:15, 2] == 200).all()


@pytest.mark.parametrize("how", ["crop", "stretch", "pad"])
@pytest.mark.parametrize("shape", [(64, 64), (50, 90), (90, 50)])
def test_a_mask_goes_where_its_picture_goes(tmp_path, how, shape):
    height, width = shape
    rows, columns = np.mgrid[0:height, 0:width]
    inside = (rows - 0.45 * height) ** 2 + (columns - 0.55 * width) ** 2 < (0.3 * min(shape)) ** 2
    image = save(tmp_path / "i.png", np.repeat((inside * 255).astype(np.uint8)[..., None], 3, 2))
    mask = save(tmp_path / "m.png", (inside * 255).astype(np.uint8))
    target = Target(32, 32, False, how)
    picture = read_picture(image, target)[0]
    found = read_mask(Item(image, masks=(mask,)), MaskRule("binary"), target)
    assert set(np.unique(found)) == {0, 1}
    assert (found[picture > 250] == 1).all()
    assert (found[picture < 5] == 0).all()
    assert 80 < found.sum() < 700


def test_a_large_jpeg_is_the_same_whether_decoded_small_or_not(tmp_path):
    smooth = np.asarray(ramp(600, 800))
    path = tmp_path / "x.jpg"
    Image.fromarray(smooth).save(path, quality=95)
    found = read_picture(path, Target(60, 80, grey=False)).astype(float)
    whole = resize(Image.open(path), Target(60, 80, grey=False), smooth=True)
    assert np.abs(found - np.asarray(whole).transpose(2, 0, 1)).max() <= 3


def mask_of(tmp_path, values, rule, mode=None, size=(6, 8)):
    image = save(tmp_path / "i.png", colours(size=size))
    mask = save(tmp_path / "m.png", values, mode)
    return read_mask(Item(image, masks=(mask,)), rule, Target(6, 8, grey=False))


@pytest.mark.parametrize("high", [1, 255])
def test_binary_masks(tmp_path, high):
    inside = np.random.default_rng(0).integers(0, 2, (6, 8)).astype(np.uint8)
    values = inside * np.uint8(high)
    np.testing.assert_array_equal(mask_of(tmp_path, values, MaskRule("binary")), inside)
    np.testing.assert_array_equal(
        mask_of(tmp_path, np.dstack([values] * 3), MaskRule("binary")), inside
    )
    empty = np.zeros((6, 8), np.uint8)
    assert mask_of(tmp_path, empty, MaskRule("binary")).sum() == 0


def test_palettes_of_binary_masks(tmp_path):
    inside = np.random.default_rng(0).integers(0, 2, (6, 8)).astype(np.uint8)
    image = save(tmp_path / "i.png", colours())
    # Colours decide where they are black and white; else the indices do.
    for palette, expected in (
        ([0, 0, 0, 255, 255, 255], inside),
        ([255, 255, 255, 0, 0, 0], 1 - inside),
        ([0, 0, 0, 128, 0, 0], inside),
    ):
        mask = Image.fromarray(inside).convert("P")
        mask.putdata(inside.flatten().tolist())
        mask.putpalette(palette)
        mask.save(tmp_path / "m.png")
        item = Item(image, masks=(tmp_path / "m.png",))
        np.testing.assert_array_equal(read_mask(item, MaskRule("binary"), COLOUR), expected)


@pytest.mark.parametrize(
    ("values", "rule", "words"),
    [
        (np.full((6, 8), 7), MaskRule("binary"), r"m.png holds the values 7; .* data.mask_classes"),
        (np.arange(48).reshape(6, 8), MaskRule("binary"), r"0, 1, 2, 3, 4, 5 ... \(48 values\)"),
        (np.full((6, 8), 3), MaskRule("classes", 3), r"holds the values 3; with 3 names .* 0 to 2"),
        (np.zeros((6, 7)), MaskRule("binary"), r"m.png is 6 x 7 pixels, but its image i.png is"),
        (np.zeros((8, 6)), MaskRule("binary"), r"is 8 x 6 pixels, but its image i.png is 6 x 8"),
    ],
)
def test_masks_that_mean_nothing_are_named(tmp_path, values, rule, words):
    with pytest.raises(DataError, match=words):
        mask_of(tmp_path, values.astype(np.uint8), rule)


def test_masks_of_several_classes(tmp_path):
    values = np.random.default_rng(0).integers(0, 5, (6, 8)).astype(np.uint8)
    np.testing.assert_array_equal(mask_of(tmp_path, values, MaskRule("classes", 5)), values)
    with pytest.raises(DataError, match="has colours; a mask of classes has 8 or 16 bits"):
        mask_of(tmp_path, values, MaskRule("classes", 5), "RGB")
    image = save(tmp_path / "i.png", colours())
    palette = Image.fromarray(values).convert("P")
    palette.putdata(values.flatten().tolist())
    palette.putpalette(list(range(15)))
    palette.save(tmp_path / "p.png")
    found = read_mask(Item(image, masks=(tmp_path / "p.png",)), MaskRule("classes", 5), COLOUR)
    np.testing.assert_array_equal(found, values)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none.png is missing"):
        read_shape(tmp_path / "none.png")


def test_cut_images_of_any_size_lie_within_themselves():
    for wide in range(60, 140, 7):
        for high in range(60, 140):
            found = resize(Image.new("RGB", (wide, high)), Target(32, 32, False), smooth=True)
            assert found.size == (32, 32)
