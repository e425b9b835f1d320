"""Photos that a stranger may hand in: each is refused in words, or read right."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pamir_blender.errors import PhotoError
from pamir_blender.photo.load import load_image
from pamir_blender.photo.mask import artist_mask

posix = pytest.mark.skipif(os.name != "posix", reason="pipes, links and devices of POSIX systems")


def picture(height=60, width=80):
    v, u = np.mgrid[0:height, 0:width]
    return np.stack([u * 3, v * 4, 250 - u - v], -1).clip(0, 255).astype(np.uint8)


def good(tmp_path):
    path = tmp_path / "good.png"
    Image.fromarray(picture()).save(path)
    return path


def claim(path, width, height):
    """Let a JPEG claim another size than it has."""
    data = bytearray(path.read_bytes())
    at = next(i for i in range(2, len(data)) if data[i] == 0xFF and data[i + 1] in (0xC0, 0xC2))
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    path.write_bytes(data)


@pytest.mark.parametrize("size", [(16320, 12240), (8688, 5792 + 200), (65500, 65500)])
def test_a_jpeg_of_two_hundred_megapixels_is_refused_undecoded(tmp_path, size):
    path = tmp_path / "huge.jpg"
    Image.fromarray(picture()).save(path)
    claim(path, *size)
    with pytest.raises(PhotoError, match=r"megapixels.*Save it smaller") as caught:
        load_image(path)
    assert "huge.jpg" in str(caught.value)
    load_image(good(tmp_path))


def test_sixty_thousand_squared_whose_pixels_are_all_there_is_refused_undecoded(tmp_path):
    """A real bomb: a row of zeros, compressed a thousandfold, over and over."""
    pack, side = zlib.compressobj(1), 60_000
    row = b"\0" * (1 + side // 8)
    data = b"".join(pack.compress(row) for _ in range(side)) + pack.flush()

    def chunk(kind, content):
        tail = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + tail

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )
    assert path.stat().st_size < 5_000_000
    with pytest.raises(PhotoError, match="megapixels"):
        load_image(path)


def test_a_text_chunk_that_unpacks_to_gigabytes_is_refused(tmp_path):
    path, info = tmp_path / "chatty.png", PngInfo()
    info.add_text("comment", "x" * (8 << 20), zip=True)
    Image.fromarray(picture()).save(path, pnginfo=info)
    with pytest.raises(PhotoError, match=r"chatty\.png is damaged"):
        load_image(path)


@pytest.mark.parametrize("name", ["moving.gif", "moving.webp", "moving.png"])
def test_animations_give_their_first_picture_and_say_so(tmp_path, name):
    frames = [Image.new("RGB", (50, 40), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / name
    options = {"lossless": True} if name.endswith("webp") else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, **options)
    loaded = load_image(path)
    assert loaded.rgb[5, 5].tolist() == [255, 0, 0]
    assert loaded.notes == ("The file holds several pictures; the first one was used.",)


def test_a_cmyk_jpeg_has_the_right_colours(tmp_path):
    """Printers' JPEGs store ink inverted: read naively, the picture is its own negative."""
    path = tmp_path / "print.jpg"
    source = Image.fromarray(picture()).convert("CMYK")
    source.save(path, quality=97)
    with Image.open(path) as opened:
        assert opened.mode == "CMYK"
    loaded = load_image(path)
    assert np.abs(loaded.rgb.astype(int) - np.asarray(source.convert("RGB"), int)).mean() < 6


@pytest.mark.parametrize(
    ("name", "brand"), [("phone.heic", b"heic"), ("phone.heif", b"mif1"), ("renamed.jpg", b"heic")]
)
def test_heic_without_a_decoder_says_what_to_save_it_as(tmp_path, name, brand):
    path = tmp_path / name
    path.write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0" + brand + b"mif1" + b"\0" * 400)
    with pytest.raises(PhotoError, match="JPEG or PNG") as caught:
        load_image(path)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF"]
)
@pytest.mark.parametrize("name", ["photo.png", "photo.jpg", "photo"])
def test_empty_and_beheaded_files_are_refused_whatever_their_name(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PhotoError, match=r"empty|not an image|damaged") as caught:
        load_image(path)
    assert str(path) in str(caught.value)
    load_image(good(tmp_path))


@pytest.mark.parametrize("wrong", ["photo.jpg", "photo.gif", "photo.txt", "photo", "photo.png.zip"])
def test_a_wrong_ending_does_not_matter(tmp_path, wrong):
    path = good(tmp_path).rename(tmp_path / wrong)
    np.testing.assert_array_equal(load_image(path).rgb, picture())


def test_a_folder_named_like_a_photo_is_no_photo(tmp_path):
    (tmp_path / "photo.png").mkdir()
    with pytest.raises(PhotoError, match=r"photo\.png is not a file"):
        load_image(tmp_path / "photo.png")


@posix
@pytest.mark.parametrize("what", ["photo", "mask"])
def test_pipes_devices_and_endless_links_are_not_waited_for(tmp_path, what):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "loop.png").symlink_to("loop.png")
    for name in ("pipe.png", "zero.png", "loop.png"):
        with pytest.raises(PhotoError, match=rf"The {what} .*{name}"):
            load_image(tmp_path / name, what=what)


@posix
def test_a_link_to_a_photo_is_a_photo(tmp_path):
    """Artists keep their pictures where they like."""
    (tmp_path / "linked.png").symlink_to(good(tmp_path))
    np.testing.assert_array_equal(load_image(tmp_path / "linked.png").rgb, picture())


@pytest.mark.parametrize(
    "name", ["mit Leerzeichen & 'Anführung' 人物 🙂.png", "a" * 200 + ".png", "%20%.png", "-rf.png"]
)
def test_names_of_every_kind(tmp_path, name):
    path = good(tmp_path).rename(tmp_path / name)
    np.testing.assert_array_equal(load_image(path).rgb, picture())


@pytest.mark.skipif(not os.sys.platform.startswith("linux"), reason="such names exist on Linux only")
def test_a_name_that_is_no_unicode(tmp_path):
    path = good(tmp_path).rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    np.testing.assert_array_equal(load_image(path).rgb, picture())


def test_a_mask_of_another_shape_is_refused_with_both_sizes(tmp_path):
    path = tmp_path / "mask.png"
    Image.fromarray((picture(60, 60) > 100).astype(np.uint8)[..., 0] * 255).save(path)
    with pytest.raises(PhotoError, match=r"mask\.png is 60 x 60 pixels.*80 x 60.*Export the mask"):
        artist_mask(path, (80, 60))
    mask, _ = artist_mask(path, (120, 120))  # the same shape, another size
    assert mask.shape == (120, 120)
