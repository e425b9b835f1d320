"""Every kind of image file, good and bad, in pictures made here."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from pamir_blender.errors import PhotoError
from pamir_blender.photo import load
from pamir_blender.photo.load import load_image


def picture(height: int = 60, width: int = 80) -> np.ndarray:
    """Smooth colours, different in every corner, so that a wrong turn or channel shows."""
    v, u = np.mgrid[0:height, 0:width]
    return np.stack([u * 3, v * 4, 250 - u - v], -1).clip(0, 255).astype(np.uint8)


def png_bytes(width: int, height: int, depth: int, data: bytes) -> bytes:
    """An RGB PNG put together by hand, ``data`` being its compressed rows."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "ppm", "tga"])
def test_lossless_formats_come_back_exactly(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(picture()).save(path, **options)
    loaded = load_image(path)
    np.testing.assert_array_equal(loaded.rgb, picture())
    assert loaded.rgb.dtype == np.uint8
    assert loaded.alpha is None
    assert len(loaded.digest) == 64


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = Image.fromarray(picture())
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    stored.save(path, exif=exif)
    np.testing.assert_array_equal(load_image(path).rgb, picture())


def test_damaged_exif_is_a_note_not_a_failure(tmp_path, monkeypatch):
    path = tmp_path / "photo.jpg"
    Image.fromarray(picture()).save(path)

    def broken(*_args, **_options):
        raise struct.error("bad offset")

    monkeypatch.setattr(load.ImageOps, "exif_transpose", broken)
    loaded = load_image(path)
    assert loaded.rgb.shape == (60, 80, 3)
    assert "EXIF" in loaded.notes[0]


def test_alpha_is_returned_and_judged(tmp_path):
    alpha = np.zeros((60, 80), np.uint8)
    alpha[10:50, 20:60] = 255
    path = tmp_path / "cut.png"
    Image.fromarray(np.dstack([picture(), alpha])).save(path)
    loaded = load_image(path)
    np.testing.assert_array_equal(loaded.alpha, alpha)
    np.testing.assert_array_equal(loaded.rgb, picture())
    assert loaded.alpha_is_meaningful()
    for constant in (0, 255):
        Image.fromarray(np.dstack([picture(), np.full_like(alpha, constant)])).save(path)
        assert not load_image(path).alpha_is_meaningful()


@pytest.mark.parametrize("mode", ["L", "1", "LA", "P", "CMYK", "YCbCr", "HSV"])
def test_other_modes_become_rgb(tmp_path, mode):
    source = Image.fromarray(picture()).convert(mode)
    path = tmp_path / ("photo.png" if mode in {"L", "1", "LA", "P"} else "photo.tiff")
    (source.convert("RGB") if mode == "HSV" else source).save(path)
    loaded = load_image(path)
    expected = np.asarray(source.convert("RGB"), int)
    assert np.abs(loaded.rgb.astype(int) - expected).mean() < 3
    assert (loaded.alpha is not None) == (mode == "LA")


def test_transparent_palette_gives_alpha(tmp_path):
    indexed = Image.fromarray((np.arange(60 * 80).reshape(60, 80) % 2).astype(np.uint8))
    indexed.putpalette([255, 0, 0, 0, 0, 255])
    path = tmp_path / "palette.png"
    indexed.save(path, transparency=1)
    loaded = load_image(path)
    assert loaded.rgb[0, 0].tolist() == [255, 0, 0]
    assert loaded.alpha[0, :2].tolist() == [255, 0]


def test_16_bit_grey_keeps_its_brightness(tmp_path):
    ramp = np.tile(np.linspace(0, 65535, 80).astype(np.uint16), (60, 1))
    for name in ("grey.png", "grey.tiff"):
        Image.fromarray(ramp).save(tmp_path / name)
        loaded = load_image(tmp_path / name)
        assert loaded.rgb.shape == (60, 80, 3)
        np.testing.assert_allclose(loaded.rgb[0, :, 0], np.linspace(0, 255, 80), atol=1.1)


def test_16_bit_colour_png(tmp_path):
    """Pillow writes none, so the file is put together here."""
    values = picture().astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    path = tmp_path / "deep.png"
    path.write_bytes(png_bytes(80, 60, depth=16, data=zlib.compress(rows)))
    np.testing.assert_array_equal(load_image(path).rgb, picture())


def test_float_tiff(tmp_path):
    ramp = np.tile(np.linspace(0, 1, 80, dtype=np.float32), (60, 1))
    path = tmp_path / "float.tiff"
    Image.fromarray(ramp).save(path)
    np.testing.assert_allclose(load_image(path).rgb[0, :, 1], np.linspace(0, 255, 80), atol=1.1)
    ramp[3, 3] = np.nan
    Image.fromarray(ramp).save(path)
    with pytest.raises(PhotoError, match="not numbers"):
        load_image(path)


def test_colour_profile_is_applied(tmp_path):
    """A profile whose red primary is sRGB's green one must turn red into green."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {}
    for k in range(struct.unpack_from(">I", profile, 128)[0]):
        entry = 132 + 12 * k
        tags[bytes(profile[entry : entry + 4])] = entry
    red_at, green_at = (slice(tags[name] + 4, tags[name] + 12) for name in (b"rXYZ", b"gXYZ"))
    profile[red_at], profile[green_at] = profile[green_at], profile[red_at]
    description = profile.find("sRGB built-in".encode("utf-16-be"))
    assert description > 0
    profile[description : description + 8] = "swap".encode("utf-16-be")
    path = tmp_path / "profiled.png"
    Image.new("RGB", (40, 40), (255, 0, 0)).save(path, icc_profile=bytes(profile))
    red, green, blue = load_image(path).rgb[20, 20].tolist()
    assert green > 240
    assert max(red, blue) < 40


def test_broken_colour_profile_is_a_note(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(picture()).save(path, icc_profile=b"not a profile at all")
    loaded = load_image(path)
    np.testing.assert_array_equal(loaded.rgb, picture())
    assert "colour profile" in loaded.notes[0]


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (50, 40), colour) for colour in ("red", "green", "blue")]
    path = tmp_path / "moving.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    loaded = load_image(path)
    assert loaded.rgb[5, 5].tolist() == [255, 0, 0]
    assert "first one" in loaded.notes[0]


def test_the_extension_does_not_matter(tmp_path):
    path = tmp_path / "really_a_png.jpg"
    Image.fromarray(picture()).save(path, format="PNG")
    np.testing.assert_array_equal(load_image(path).rgb, picture())


def jpeg_bytes() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture(400, 600)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.jpg", b"", "empty"),
        ("letter.jpg", b"Dear photo, " * 50, "not an image"),
        ("phone.heic", b"\0\0\0\x18ftypheic" + b"\0" * 100, "JPEG or PNG"),
        ("cut.jpg", jpeg_bytes()[:2000], "damaged or incomplete"),
        ("zeros.png", b"\0" * 500, "not an image"),
        ("script.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n", "not read"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PhotoError, match=words) as caught:
        load_image(path)
    assert str(path) in str(caught.value)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(PhotoError, match="does not exist"):
        load_image(tmp_path / "nowhere.jpg")
    with pytest.raises(PhotoError, match="not a file"):
        load_image(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PhotoError, match="not a file"):
        load_image(tmp_path / "pipe.jpg")


@pytest.mark.parametrize(("width", "height"), [(9000, 6000), (60000, 60000), (2**31 - 1, 2**31 - 1)])
def test_huge_pictures_are_refused_before_decoding(tmp_path, width, height):
    """There is nothing to decode in it: decoding would complain of damage instead of size."""
    path = tmp_path / "bomb.png"
    path.write_bytes(png_bytes(width, height, depth=8, data=b"nothing"))
    with pytest.raises(PhotoError, match="megapixels"):
        load_image(path)


def test_fifty_megapixels_are_allowed_and_tiny_pictures_are_not(tmp_path):
    path = tmp_path / "large.png"
    Image.new("L", (8160, 6130), 90).save(path, compress_level=1)
    assert load_image(path).rgb.shape == (6130, 8160, 3)
    Image.new("L", (31, 200)).save(path)
    with pytest.raises(PhotoError, match="at least 32"):
        load_image(path)


def test_the_digest_is_of_the_files_bytes(tmp_path):
    import hashlib

    path = tmp_path / "photo.png"
    Image.fromarray(picture()).save(path)
    assert load_image(path).digest == hashlib.sha256(path.read_bytes()).hexdigest()
