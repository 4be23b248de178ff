"""Everything that a file can say of itself, written by other code than reads it."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from hybridonn.core.errors import DataError
from hybridonn.data.readers.image_facts import MAX_PIXELS
from hybridonn.data.readers.image_files import (
    Target,
    read_mask,
    read_picture,
    read_shape,
    read_used_bits,
)
from hybridonn.data.readers.image_rules import refuse_frame
from hybridonn.data.readers.listing import Item, MaskRule

H, W = 12, 16
COLOUR, GREY = Target(H, W, grey=False), Target(H, W, grey=True)
BINARY, CLASSES = MaskRule("binary"), MaskRule("classes", 6)
INSIDE = np.zeros((H, W), np.uint8)
INSIDE[2:8, 3:12] = 1
RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (H, W, 3)).astype(np.uint16)


def png(values: np.ndarray, colour: int, *chunks: bytes, bits: int = 16, size=(H, W)) -> bytes:
    """A PNG of rows of bytes, with chunks of its own before or after the pixels."""
    head = struct.pack(">IIBBBBB", size[1], size[0], bits, colour, 0, 0, 0)
    rows = values.astype(">u2" if bits == 16 else "u1").reshape(len(values), -1)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = [chunk(b"IHDR", head), *chunks, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def tiff(path: Path, values: np.ndarray, photometric: str = "minisblack", **options) -> Path:
    tifffile.imwrite(path, values, photometric=photometric, **options)
    return path


def mask_of(path: Path, rule: MaskRule = BINARY, image: Path | None = None) -> np.ndarray:
    if image is None:
        image = path.with_name("picture.png")
        Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(image)
    return read_mask(Item(image, masks=(path,)), rule, COLOUR)


# Pages


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tif"])
def test_more_than_one_picture_is_refused_in_every_format(tmp_path, ending):
    frames = [Image.fromarray((INSIDE * value).astype(np.uint8)) for value in (255, 200, 100)]
    path = tmp_path / f"x.{ending}"
    lossless = {"lossless": True} if ending == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **lossless)
    for read in (read_shape, mask_of):
        with pytest.raises(DataError, match=rf"x.{ending} holds 3 images; it must hold one"):
            read(path)


@pytest.mark.parametrize("options", [{"imagej": True}, {"truncate": True}])
def test_pages_that_no_tag_tells_of(tmp_path, options):
    path = tiff(tmp_path / "x.tif", np.zeros((5, H, W), np.uint8), **options)
    with pytest.raises(DataError, match="holds 5 images"):
        read_shape(path)


def test_an_animation_beside_the_picture(tmp_path):
    control = chunk(b"acTL", struct.pack(">II", 1, 0))
    path = write(tmp_path / "x.png", png(INSIDE, 0, control, bits=8))
    assert read_shape(path).grey  # one frame, which is the image
    late = chunk(b"fcTL", bytes(26))
    path.write_bytes(path.read_bytes().replace(chunk(b"IEND", b""), late + chunk(b"IEND", b"")))
    with pytest.raises(DataError, match="holds 2 images"):
        read_shape(path)


def test_resolutions_thumbnails_and_masks_in_a_tiff(tmp_path):
    with tifffile.TiffWriter(tmp_path / "sub.tif") as writer:
        writer.write(INSIDE, subifds=1, photometric="minisblack")
        writer.write(INSIDE[::2, ::2], subfiletype=1, photometric="minisblack")
    tiff(tmp_path / "small.tif", INSIDE, subfiletype=1)
    for name in ("sub.tif", "small.tif"):
        with pytest.raises(DataError, match="thumbnails, resolutions or sub-images"):
            read_shape(tmp_path / name)


# Numbers


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_numbers_that_no_picture_has(tmp_path, dtype, byteorder):
    path = tiff(tmp_path / "x.tif", INSIDE.astype(dtype), byteorder=byteorder)
    for read in (read_shape, mask_of):
        with pytest.raises(
            DataError, match=r"x.tif has (float|signed|unsigned) values of \d+ bits"
        ):
            read(path)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    "layout",
    [{"byteorder": order, "tile": tile} for order in "<>" for tile in (None, (16, 16))]
    + [{"bigtiff": True}],
)
@pytest.mark.parametrize("kind", ["grey", "rgb", "deep grey", "deep rgb"])
def test_a_tiff_is_read_as_it_was_written(tmp_path, compression, layout, kind):
    values = DEEP if "deep" in kind else (DEEP >> 8).astype(np.uint8)
    values = values if "rgb" in kind else values[..., 0]
    photometric = "rgb" if "rgb" in kind else "minisblack"
    path = tiff(
        tmp_path / "x.tif",
        values,
        photometric,
        compression=compression,
        **layout,
    )
    upper = values >> 8 if "deep" in kind else values
    found = read_picture(path, COLOUR if "rgb" in kind else GREY)
    np.testing.assert_array_equal(found, upper.transpose(2, 0, 1) if "rgb" in kind else upper[None])
    assert read_shape(path).deep == ("deep" in kind)


def test_channels_apart(tmp_path):
    values = (DEEP >> 8).astype(np.uint8).transpose(2, 0, 1)
    path = tiff(tmp_path / "x.tif", values, "rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_picture(path, COLOUR), values)
    path = tiff(tmp_path / "y.tif", DEEP.transpose(2, 0, 1), "rgb", planarconfig="separate")
    with pytest.raises(DataError, match=r"y.tif has its channels apart, with 16 bits"):
        read_shape(path)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(8, 16), st.booleans(), st.integers(0, 2**32 - 1))
def test_colours_of_16_bits_keep_every_bit(tmp_path, bits, as_png, seed):
    values = np.random.default_rng(seed).integers(0, 2**bits, (H, W, 3)).astype(np.uint16)
    path = tmp_path / ("x.png" if as_png else "x.tif")
    path.unlink(missing_ok=True)
    write(path, png(values, 2)) if as_png else tiff(path, values, "rgb")
    assert read_used_bits(path) == np.bitwise_or.reduce(values, None)
    found = read_picture(path, Target(H, W, grey=False, bit_depth=bits))
    np.testing.assert_array_equal(found, (values >> (bits - 8)).transpose(2, 0, 1))


def test_a_file_of_12_bits_states_its_depth(tmp_path):
    values = np.arange(H * W, dtype=np.uint16).reshape(H, W) * 21
    packed = np.packbits(
        ((values[..., None] >> np.arange(11, -1, -1)) & 1).astype(np.uint8).reshape(H, -1), axis=1
    )
    # 12 x 16 pixels of 12 bits: 24 bytes a row; the tags are written for 8 bits and mended.
    path = tiff(tmp_path / "x.tif", packed, metadata=None)
    content = bytearray(path.read_bytes())
    for tag, old, new in ((256, 24, 16), (258, 8, 12)):
        entry = struct.pack("<HHI", tag, 3, 1) if tag == 258 else struct.pack("<HHI", tag, 4, 1)
        place = content.index(entry) + 8
        assert content[place] == old
        content[place] = new
    path.write_bytes(content)
    assert not read_shape(path).deep
    np.testing.assert_array_equal(read_picture(path, GREY)[0], values >> 4)


def test_netpbm_values_go_to_the_value_that_it_states(tmp_path):
    path = write(
        tmp_path / "x.pgm", b"P5 16 12 4095\n" + (INSIDE * np.uint16(4095)).astype(">u2").tobytes()
    )
    assert not read_shape(path).deep
    np.testing.assert_array_equal(read_picture(path, GREY)[0], INSIDE * 255)
    path = write(tmp_path / "classes.pgm", b"P5 16 12 5\n" + INSIDE.tobytes())
    with pytest.raises(DataError, match=r"classes.pgm has scaled values"):
        mask_of(path, CLASSES)


# Polarity and colours


def test_white_is_zero(tmp_path):
    values = (DEEP[..., 0] >> 8).astype(np.uint8)
    path = tiff(tmp_path / "x.tif", values, "miniswhite")
    np.testing.assert_array_equal(read_picture(path, GREY)[0], 255 - values)
    with pytest.raises(DataError, match=r"x.tif says that 0 is white, so its numbers"):
        mask_of(path)
    with pytest.raises(DataError, match=r"y.tif says that 0 is white, with 16 bits"):
        read_shape(tiff(tmp_path / "y.tif", DEEP[..., 0], "miniswhite"))
    # One bit: what is shown white is the object, whatever number stands for it.
    path = tmp_path / "z.tif"
    Image.fromarray(INSIDE * np.uint8(255)).convert("1").save(path, compression="group4")
    np.testing.assert_array_equal(mask_of(path), INSIDE)


@pytest.mark.parametrize("mode", ["YCbCr", "LAB"])
def test_colour_spaces_without_red_green_and_blue(tmp_path, mode):
    Image.fromarray((DEEP >> 8).astype(np.uint8)).convert(mode).save(tmp_path / "x.tif")
    for read in (read_shape, mask_of):
        with pytest.raises(DataError, match=r"x.tif has its values in (YCbCr|CIELAB)"):
            read(tmp_path / "x.tif")


def test_cmyk_is_for_pictures_alone(tmp_path):
    Image.fromarray(np.dstack([INSIDE * np.uint8(255)] * 3)).convert("CMYK").save(
        tmp_path / "x.tif"
    )
    np.testing.assert_array_equal(read_picture(tmp_path / "x.tif", GREY)[0], INSIDE * 255)
    with pytest.raises(DataError, match="has its values in CMYK; a mask has grey values"):
        mask_of(tmp_path / "x.tif")


def test_channels_without_a_meaning(tmp_path):
    path = tiff(tmp_path / "x.tif", np.zeros((H, W, 5), np.uint8), "rgb")
    with pytest.raises(DataError, match=r"x.tif has 2 more channels"):
        read_shape(path)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (chunk(b"gAMA", struct.pack(">I", 100000)), "a gamma of 1"),
        (chunk(b"gAMA", struct.pack(">I", 55556)), "a gamma of 0.55556"),
        (chunk(b"cICP", bytes([9, 16, 0, 1])), "colours by code points 09 10 00 01"),
        (
            chunk(
                b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
            ),
            "primaries of their own",
        ),
    ],
)
def test_curves_and_primaries_other_than_srgb(tmp_path, said, words):
    values = (DEEP >> 8).astype(np.uint8)
    path = write(tmp_path / "x.png", png(values, 2, said, bits=8))
    with pytest.raises(DataError, match=f"x.png states {words}.*read as sRGB"):
        read_shape(path)
    # Beside sRGB's own statement they do not count, and sRGB's gamma is none of its own.
    srgb = chunk(b"sRGB", b"\0")
    for kept in (
        srgb + said if b"cICP" not in said else srgb,
        chunk(b"gAMA", struct.pack(">I", 45455)),
    ):
        write(path, png(values, 2, kept, bits=8))
        np.testing.assert_array_equal(read_picture(path, COLOUR), values.transpose(2, 0, 1))


def test_a_transfer_function_in_a_tiff(tmp_path):
    curve = tuple(range(256))
    path = tiff(tmp_path / "x.tif", INSIDE, extratags=[(301, "H", 256, curve, True)])
    with pytest.raises(DataError, match="a transfer function of its own"):
        read_shape(path)
    np.testing.assert_array_equal(mask_of(path), INSIDE)  # numbers are no light


# Colour profiles


def profile(gamma: float, primaries: tuple[float, ...]) -> bytes:
    """A matrix profile (ICC.1:2022, 8.3) with one exponent and primaries as XYZ by columns."""

    def s15(value: float) -> bytes:
        return struct.pack(">i", round(65536 * value))

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma)) + bytes(2)
    columns = [b"XYZ " + bytes(4) + b"".join(map(s15, primaries[k : k + 3])) for k in (0, 3, 6)]
    white = b"XYZ " + bytes(4) + s15(0.9642) + s15(1.0) + s15(0.8249)
    text = b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(78)
    tags = {b"desc": text, b"wtpt": white, b"rXYZ": columns[0], b"gXYZ": columns[1]}
    tags |= {b"bXYZ": columns[2], b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    place, table, content = 128 + 4 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        table += name + struct.pack(">II", place + len(content), len(value))
        content += value + bytes(-len(value) % 4)
    body = struct.pack(">I", len(tags)) + table + content
    head = struct.pack(">I", 128 + len(body)) + bytes(4) + struct.pack(">I", 0x02100000)
    head += b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    head += s15(0.9642) + s15(1.0) + s15(0.8249) + bytes(48)
    return head + body


# Of sRGB, adapted to D50: IEC 61966-2-1, and L for a linear curve.
SRGB = (0.4361, 0.2225, 0.0139, 0.3851, 0.7169, 0.0971, 0.1431, 0.0606, 0.7141)


def test_a_linear_profile_is_honoured(tmp_path):
    values = np.repeat(np.arange(H * W, dtype=np.uint8).reshape(H, W, 1), 3, 2)
    linear = profile(1.0, SRGB)
    Image.fromarray(values).save(tmp_path / "x.png", icc_profile=linear)
    # IEC 61966-2-1: the sRGB value of light.
    light = values / 255
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    found = read_picture(tmp_path / "x.png", COLOUR).transpose(1, 2, 0)
    assert np.abs(found - 255 * curve).max() < 2
    grey = read_picture(tmp_path / "x.png", GREY)[0]
    assert np.abs(grey - 255 * curve[..., 0]).max() < 2
    with pytest.raises(DataError, match=r"x.tif has a colour profile of its own with values of 16"):
        read_picture(tiff(tmp_path / "x.tif", DEEP, "rgb", iccprofile=linear), COLOUR)


def test_srgbs_own_profile_changes_nothing(tmp_path):
    values = (DEEP >> 8).astype(np.uint8)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(values).save(tmp_path / "x.png", icc_profile=srgb)
    np.testing.assert_array_equal(
        read_picture(tmp_path / "x.png", COLOUR), values.transpose(2, 0, 1)
    )
    Image.fromarray(values[..., 0]).save(tmp_path / "y.png", icc_profile=srgb)
    np.testing.assert_array_equal(read_picture(tmp_path / "y.png", GREY)[0], values[..., 0])
    path = tiff(tmp_path / "x.tif", DEEP, "rgb", iccprofile=srgb)
    np.testing.assert_array_equal(read_picture(path, COLOUR), (DEEP >> 8).transpose(2, 0, 1))


def test_a_profile_that_cannot_be_read(tmp_path):
    Image.fromarray(INSIDE).save(tmp_path / "x.png", icc_profile=b"not a profile at all")
    with pytest.raises(DataError, match=r"x.png: its colour profile cannot be used .*; remove it"):
        read_picture(tmp_path / "x.png", GREY)


# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
def test_every_format_is_turned_the_same_way(tmp_path, orientation, ending):
    stored = np.zeros((24, 16), np.uint8)
    stored[2:10, 3:6], stored[12:16, 9:15] = 255, 120
    # By the numpy operations that EXIF 2.32 describes: which side row 0 and column 0 are.
    shown = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.T,
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].T,
        8: np.rot90(stored),
    }[orientation]
    path = tmp_path / f"x.{ending}"
    exif = Image.Exif()
    exif[274] = orientation
    if ending == "tif":
        tiff(path, stored, extratags=[(274, "H", 1, orientation, True)])
    else:
        lossless = {"lossless": True} if ending == "webp" else {"quality": 100}
        Image.fromarray(stored).save(path, exif=exif, **lossless)
    shape = read_shape(path)
    assert (shape.height, shape.width) == shown.shape
    found = read_picture(path, Target(*shown.shape, grey=True))[0].astype(int)
    assert np.abs(found - shown).max() <= (30 if ending == "jpg" else 0)


def test_a_large_jpeg_is_turned_too(tmp_path):
    values = np.zeros((160, 480), np.uint8)
    values[:, :160] = 255
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(values).save(tmp_path / "x.jpg", exif=exif, quality=95)
    found = read_picture(tmp_path / "x.jpg", Target(60, 20, grey=True))[0]
    assert found[:18].min() > 250
    assert found[22:].max() < 5


@pytest.mark.parametrize("where", ["picture", "mask"])
@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
def test_a_picture_is_never_turned_against_its_mask(tmp_path, where, ending):
    if where == "mask" and ending == "jpg":
        return  # a mask with losses is refused anyway
    exif = Image.Exif()
    exif[274] = 3
    turned, upright = tmp_path / f"turned.{ending}", tmp_path / "upright.png"
    values = INSIDE * np.uint8(255)
    if ending == "tif":
        tiff(turned, values, extratags=[(274, "H", 1, 3, True)])
    else:
        Image.fromarray(values).save(turned, exif=exif)
    Image.fromarray(values).save(upright)
    image, mask = (turned, upright) if where == "picture" else (upright, turned)
    with pytest.raises(
        DataError, match=r"to be shown (turned by 180 degrees|upright), and its mask"
    ):
        mask_of(mask, image=image)
    if ending != "jpg":  # both say the same: both are turned
        np.testing.assert_array_equal(mask_of(turned, image=turned), INSIDE[::-1, ::-1])


def test_orientation_in_text_and_none(tmp_path):
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta tiff:Orientation="3"/>'
    path = write(tmp_path / "x.png", png(INSIDE, 0, chunk(b"iTXt", xmp), bits=8))
    np.testing.assert_array_equal(read_picture(path, GREY)[0], INSIDE[::-1, ::-1])
    path = tiff(tmp_path / "y.tif", INSIDE, extratags=[(274, "H", 1, 9, True)])
    with pytest.raises(DataError, match=r"y.tif states the orientation 9"):
        read_shape(path)


# Transparency


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_refused_and_an_opaque_channel_is_none(tmp_path, mode):
    values = (DEEP[..., 0] >> 8).astype(np.uint8)
    for name, alpha, words in (
        ("some.png", 255 * INSIDE, r"transparent in 138 of its 192"),
        ("all.png", 0 * INSIDE + 255, None),
    ):
        image = Image.fromarray(values).convert(mode.replace("PA", "P"))
        image.putalpha(Image.fromarray(alpha.astype(np.uint8)))
        assert image.mode == mode
        image.save(tmp_path / name, "TIFF" if mode == "PA" else None)
        if words is None:
            np.testing.assert_array_equal(read_picture(tmp_path / name, GREY)[0], values)
            continue
        for read in (lambda path: read_picture(path, GREY), mask_of):
            with pytest.raises(DataError, match=words):
                read(tmp_path / name)


@pytest.mark.parametrize("ending", ["png", "gif"])
@pytest.mark.parametrize("mode", ["L", "P"])
def test_transparent_values_and_palette_entries(tmp_path, ending, mode):
    image = Image.fromarray(INSIDE)
    if mode == "P":
        image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(tmp_path / f"x.{ending}", transparency=1)
    for read in (lambda path: read_picture(path, GREY), mask_of):
        with pytest.raises(DataError, match=r"x.\w+ is transparent in 54 of its 192 pixels"):
            read(tmp_path / f"x.{ending}")
    image.save(tmp_path / f"y.{ending}", transparency=9 if ending == "png" else 2)
    np.testing.assert_array_equal(mask_of(tmp_path / f"y.{ending}"), INSIDE)


def test_deep_transparency(tmp_path):
    for colour, channels in ((4, 2), (6, 4)):
        path = write(tmp_path / "x.png", png(np.zeros((H, W, channels)), colour))
        with pytest.raises(DataError, match="has transparency with values of 16 bits"):
            read_shape(path)


# Numbers of masks


def grey(values):
    return Image.fromarray(values.astype(np.uint8))


def test_a_class_number_in_a_colour_channel(tmp_path):
    grey_zero = np.zeros_like(INSIDE)
    for place in range(3):
        channels = [grey_zero] * 3
        channels[place] = INSIDE
        Image.fromarray(np.dstack(channels)).save(tmp_path / "x.png")
        with pytest.raises(
            DataError, match=r"colours that are not grey, such as .* in row 2, column 3"
        ):
            mask_of(tmp_path / "x.png")


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_masks_of_16_bits_hold_their_numbers(tmp_path, white):
    Image.fromarray(INSIDE.astype(np.uint16) * white).save(tmp_path / "x.png")
    np.testing.assert_array_equal(mask_of(tmp_path / "x.png"), INSIDE)
    for values in (256, 4095, 300):
        Image.fromarray(INSIDE.astype(np.uint16) * values).save(tmp_path / "x.png")
        with pytest.raises(DataError, match=f"holds the values 0, {values}"):
            mask_of(tmp_path / "x.png")
    classes = (INSIDE * 5).astype(np.uint16)
    np.testing.assert_array_equal(mask_of(tiff(tmp_path / "x.tif", classes), CLASSES), classes)
    with pytest.raises(DataError, match="holds the values 0, 257"):
        mask_of(tiff(tmp_path / "x.tif", INSIDE.astype(np.uint16) * 257), MaskRule("classes", 256))


@pytest.mark.parametrize("bits", [2, 4])
def test_scaled_greys_are_no_classes(tmp_path, bits):
    packed = INSIDE.reshape(H, -1, 8 // bits) << np.arange(8 - bits, -1, -bits)
    path = write(tmp_path / "x.png", png(packed.sum(-1), 0, bits=bits))
    path.write_bytes(png(packed.sum(-1).astype(np.uint8), 0, bits=8).replace(b"", b""))
    content = png(packed.sum(-1), 0, bits=8)
    head = struct.pack(">IIBBBBB", W, H, bits, 0, 0, 0, 0)
    start = content.index(b"IDAT") - 4
    path.write_bytes(content[:8] + chunk(b"IHDR", head) + content[start:])
    for classes in (6, 256):
        with pytest.raises(DataError, match="has scaled values"):
            mask_of(path, MaskRule("classes", classes))


@pytest.mark.parametrize("rule", [BINARY, CLASSES])
@pytest.mark.parametrize("ending", ["jpg", "webp", "tif"])
def test_losses_change_numbers(tmp_path, rule, ending):
    options = {"compression": "jpeg"} if ending == "tif" else {}
    grey(INSIDE).save(tmp_path / f"x.{ending}", **options)
    with pytest.raises(DataError, match=f"x.{ending} is compressed with losses"):
        mask_of(tmp_path / f"x.{ending}", rule)
    if ending == "webp":
        grey(INSIDE).save(tmp_path / "y.webp", lossless=True)
        np.testing.assert_array_equal(mask_of(tmp_path / "y.webp"), INSIDE)


@pytest.mark.parametrize(
    ("palette", "expected"),
    [
        ([0, 0, 0, 255, 255, 255], INSIDE),
        ([255, 255, 255, 0, 0, 0], 1 - INSIDE),
        ([0, 0, 0, 1, 1, 1], INSIDE),
        ([0, 0, 0, 128, 0, 0], INSIDE),
        ([0] * 6, None),
        ([255] * 6, None),
    ],
)
def test_what_a_palette_says_of_a_binary_mask(tmp_path, palette, expected):
    image = grey(INSIDE)
    image.putpalette(palette)
    image.save(tmp_path / "x.png")
    if expected is None:
        with pytest.raises(
            DataError, match=r"palette that shows several of its indices 0, 1 in one"
        ):
            mask_of(tmp_path / "x.png")
    else:
        np.testing.assert_array_equal(mask_of(tmp_path / "x.png"), expected)


def test_what_a_palette_says_of_classes(tmp_path):
    image = grey(INSIDE * 2)
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])  # colours: the indices are the classes
    image.save(tmp_path / "x.png")
    np.testing.assert_array_equal(mask_of(tmp_path / "x.png", CLASSES), INSIDE * 2)
    image = grey(INSIDE)  # as programs that make files smaller write the greys 0 and 5
    image.putpalette([0, 0, 0, 5, 5, 5])
    image.save(tmp_path / "x.png")
    with pytest.raises(DataError, match="greys 0, 5 stand for the indices 0, 1"):
        mask_of(tmp_path / "x.png", CLASSES)


# Size


def test_images_that_claim_more_than_is_decoded(tmp_path):
    huge = png(INSIDE, 0, bits=8, size=(100_000, 100_000))
    files = {"x.png": huge}
    bitmap = b"BM" + struct.pack(
        "<IHHIIiiHHIIiiII", 66, 0, 0, 54, 40, 30_000, 30_000, 1, 24, *[0] * 6
    )
    files |= {
        "x.bmp": bitmap,
        "x.pgm": b"P5 100000 100000 255\n",
    }
    grey(INSIDE).save(tmp_path / "x.gif")
    files["x.gif"] = b"GIF89a\xff\xff\xff\xff" + (tmp_path / "x.gif").read_bytes()[10:]
    tiff(tmp_path / "x.tif", INSIDE, metadata=None)
    content = bytearray((tmp_path / "x.tif").read_bytes())
    for tag in (256, 257):
        place = content.index(struct.pack("<HHI", tag, 4, 1)) + 8
        content[place : place + 4] = struct.pack("<I", 100_000)
    files["x.tif"] = bytes(content)
    for name, said in files.items():
        path = write(tmp_path / name, said)
        with pytest.raises(DataError, match=rf"{name} has .*pixels.* at most {MAX_PIXELS:,}"):
            read_shape(path)


def test_a_tile_that_is_larger_than_its_picture(tmp_path):
    tiff(tmp_path / "x.tif", np.zeros((32, 32), np.uint8), tile=(16, 16), metadata=None)
    content = bytearray((tmp_path / "x.tif").read_bytes())
    for tag in (322, 323):
        place = content.index(struct.pack("<HHI", tag, 4, 1)) + 8
        content[place : place + 4] = struct.pack("<I", 1 << 20)
    write(tmp_path / "x.tif", content)
    with pytest.raises(DataError, match=r"a tile of .*x.tif has 1,048,576 x 1,048,576 pixels"):
        read_shape(tmp_path / "x.tif")


def test_formats_whose_decoders_start_programs_are_not_opened(tmp_path):
    path = write(
        tmp_path / "x.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    )
    with pytest.raises(DataError, match=r"x.png is damaged or no image: its format"):
        read_shape(path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_damage_is_a_sentence(tmp_path, data):
    kind = data.draw(st.sampled_from(["png", "tif", "gif", "bmp", "webp", "jpg", "pgm"]))
    path = tmp_path / f"damaged.{kind}"
    Image.fromarray(INSIDE * np.uint8(200)).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    write(path, content[: data.draw(st.integers(1, len(content)))])
    for read in (read_shape, lambda path: read_picture(path, COLOUR), mask_of):
        try:
            read(path)
        except DataError as error:
            assert str(path) in str(error) or "picture.png" in str(error)


# Frames of a camera


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"photometric": "miniswhite"}, "says that 0 is white"),
        ({"extratags": [(274, "H", 1, 6, True)]}, "to be shown turned by 90 degrees clockwise"),
        ({"subfiletype": 1}, "thumbnails"),
        (
            {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)},
            "a palette|palette",
        ),
    ],
)
def test_frames_that_are_not_light_as_it_is_stored(tmp_path, options, words):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, INSIDE, **options)
    with pytest.raises(DataError, match=words):
        refuse_frame(path)


def test_frames_that_are(tmp_path):
    refuse_frame(tiff(tmp_path / "x.tif", INSIDE.astype(np.float32)))
    refuse_frame(tiff(tmp_path / "y.tif", DEEP, "rgb", planarconfig="contig"))
    refuse_frame(write(tmp_path / "x.png", png(DEEP[..., 0], 0)))


# Promises


@pytest.mark.parametrize("place", [b"IDAT", b"tEXt"])
def test_a_chunk_that_states_more_than_follows_takes_no_memory(tmp_path, place):
    content = png(INSIDE, 0, chunk(b"tEXt", b"Title\0x"), bits=8)
    at = content.index(place) - 4
    harmed = content[:at] + (2**31 - 1).to_bytes(4, "big") + content[at + 4 :]
    write(tmp_path / "x.png", harmed)
    with pytest.raises(
        DataError, match=rf"its chunk '{place.decode()}' states 2,147,483,647 bytes"
    ):
        read_picture(tmp_path / "x.png", GREY)


@pytest.mark.parametrize("tag", [279, 325])
def test_pixels_that_would_lie_beyond_the_end_take_no_memory(tmp_path, tag):
    options = {"tile": (16, 16)} if tag == 325 else {}
    path = tiff(tmp_path / "x.tif", np.zeros((16, 16), np.uint8), **options)
    content = path.read_bytes()
    at = content.index(struct.pack("<HHI", tag, 4, 1)) + 8
    write(path, content[:at] + struct.pack("<I", 2**31 - 1) + content[at + 4 :])
    with pytest.raises(DataError, match=r"claim 2,147,483,647 bytes, and the file has"):
        read_picture(path, GREY)
