"""The size that a picture claims, read without decoding it."""

import struct

import pytest
from PIL import Image

from pamir_blender.image_header import MAX_SHOWN_PIXELS, claims_too_much, picture_size

SIZES = [(37, 1), (1, 300), (640, 480), (3000, 2)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("png", {}), ("jpg", {}), ("jpg", {"progressive": True}),
        ("jpg", {"exif": b"Exif\0\0" + b"x" * 5000}),
        ("gif", {}), ("bmp", {}), ("tiff", {}), ("webp", {}), ("webp", {"lossless": True}),
    ],
)  # fmt: skip
def test_every_kind_tells_its_size(tmp_path, suffix, options, size):
    path = tmp_path / f"picture.{suffix}"
    Image.new("RGB", size, (200, 10, 90)).save(path, **options)
    assert picture_size(path) == size


def test_webp_with_alpha_and_animation(tmp_path):
    path = tmp_path / "picture.webp"
    frames = [Image.new("RGBA", (70, 50), (9, 9, i, 100)) for i in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert path.read_bytes()[12:16] == b"VP8X" and picture_size(path) == (70, 50)


def test_big_endian_tiff_and_long_tags(tmp_path):
    entries = struct.pack(">HHII", 256, 4, 1, 70_000) + struct.pack(">HHIHH", 257, 3, 1, 5, 0)
    path = tmp_path / "picture.tif"
    path.write_bytes(b"MM\0*" + struct.pack(">I", 8) + struct.pack(">H", 2) + entries + b"\0" * 4)
    assert picture_size(path) == (70_000, 5)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", b"\xff\xd8", b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0", b"\xff\xd8" + b"\xff\xe0\0\2" * 5000, b"\xff\xd8" + b"\xff" * 99,
        b"GIF89a", b"BM",
        b"RIFF\0\0\0\0WEBP", b"RIFF\0\0\0\0WEBPVP8 ", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\4",
        b"plain text", b"\0" * 64,
    ],
)  # fmt: skip
def test_damaged_headers_give_none(tmp_path, content):
    path = tmp_path / "picture"
    path.write_bytes(content)
    assert picture_size(path) is None or 0 in picture_size(path)


def test_sixty_thousand_squared_is_too_much_and_a_camera_is_not(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 60_000, 60_000) + b"\x08\2\0\0\0")
    assert picture_size(path) == (60_000, 60_000) and claims_too_much(path)
    assert MAX_SHOWN_PIXELS > 8160 * 6130
    Image.new("L", (40, 30)).save(path)
    assert not claims_too_much(path)
