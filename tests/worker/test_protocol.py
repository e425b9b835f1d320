"""The protocol: every message there and back, and nothing else accepted."""

import json
import os
import typing
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from pamir_blender import options
from pamir_blender.errors import NoPersonError, RequestError
from pamir_blender.worker import protocol

ROOT = Path(os.sep).resolve()
PHOTO, OUT = str(ROOT / "fotos" / "grün 人.png"), str(ROOT / "out")

BODY = protocol.BodyState.from_arrays(
    np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32),
    np.linspace(-1, 1, 10, dtype=np.float32),
    scale=0.4321,
    translation=(0.1, -0.2, 1 / 3),
    frame_scale=0.4,
    frame_origin=(0.0, -0.45, 0.01),
)
STATE = asdict(BODY)

REQUESTS = [
    protocol.Hello("me"),
    protocol.CheckBackend("cpu"),
    protocol.Reconstruct(PHOTO, OUT),
    protocol.Reconstruct(PHOTO, OUT, mask=PHOTO, person=2, box=(1.0, 2, 3.5, 4), size="paper", texture=False),
    protocol.Reconstruct(PHOTO, OUT, optimise=0),
    protocol.Regenerate(PHOTO, OUT, body=BODY),
    protocol.Regenerate(PHOTO, OUT, body=BODY, edited=("left_elbow", "neck"), optimise=20, resolution=96),
    protocol.Regenerate(PHOTO, OUT, body=BODY, preview=True),
    protocol.Suggest(PHOTO, OUT, body=BODY, edited=("left_elbow",), count=6),
    protocol.Cancel("abc"),
    protocol.Shutdown(),
]
EVENTS = [
    protocol.Ready(12, "0.1.0", "3.11.7", {"torch": "2.13.0", "numpy": None}),
    protocol.Heartbeat(),
    protocol.Heartbeat("abc"),
    protocol.Checked("abc", {"device": "cpu", "models": ["lite"]}),
    protocol.Progress("abc", "field", 0.5, 0.25, "Asking the field"),
    protocol.BodyReady("abc", OUT),
    protocol.Done("abc", OUT),
    protocol.Failed("abc", "photo", "Cannot read it.", "/log", "tail\nlines"),
    protocol.Cancelled("abc"),
    protocol.Rejected("because"),
]


def line(**record):
    return json.dumps({"protocol": protocol.PROTOCOL, **record}).encode()


def regenerate(**record):
    return line(**{"type": "Regenerate", "photo": PHOTO, "out": OUT, "body": STATE, **record})


@pytest.mark.parametrize("message", REQUESTS, ids=lambda m: type(m).__name__)
def test_requests_survive_the_trip(message):
    encoded = protocol.encode(message)
    assert encoded.endswith(b"\n") and encoded.count(b"\n") == 1
    assert protocol.decode_request(encoded) == message
    with pytest.raises(RequestError):
        protocol.decode_event(encoded)


@pytest.mark.parametrize("message", EVENTS, ids=lambda m: type(m).__name__)
def test_events_survive_the_trip(message):
    assert protocol.decode_event(protocol.encode(message)) == message


def test_a_file_name_that_is_no_unicode_survives():
    name = str(ROOT / b"photo\xff\xfe.png".decode("utf-8", "surrogateescape"))
    decoded = protocol.decode_request(protocol.encode(protocol.Reconstruct(name, OUT)))
    assert decoded.photo == name


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"garbage", "JSON"),
        (b"\xff\xfe\x00", "JSON"),
        (b"[1, 2]", "object"),
        (b"[" * 100_000, "JSON"),
        (b'{"protocol": 2, "type": "Cancel", "job": NaN}', "JSON"),
        (b'{"protocol": 99, "type": "Shutdown"}', "99"),
        (b'{"type": "Shutdown"}', "None"),
        (line(type="Regret"), "Regret"),
        (line(type=["Shutdown"]), "Unknown"),
        (line(type="Done", job="a", folder="/"), "Unknown"),
        (line(type="Cancel"), "incomplete"),
        (line(type="Cancel", job=7), "Cancel.job"),
        (line(type="Cancel", job="../up"), "job id"),
        (line(type="Cancel", job="a", more=1), "no field more"),
        (line(type="Reconstruct", photo="relative.png", out=OUT, job="a"), "absolute"),
        (line(type="Reconstruct", photo=PHOTO, out="", job="a"), "absolute"),
        (line(type="Reconstruct", photo=PHOTO + "\0", out=OUT, job="a"), "zero byte"),
        (line(type="Reconstruct", photo=PHOTO, out=OUT, resolution=10**9), "resolution must be one of"),
        (line(type="Reconstruct", photo=PHOTO, out=OUT, resolution=True), "resolution"),
        (line(type="Reconstruct", photo=PHOTO, out=OUT, size="huge"), "lite, paper"),
        (line(type="Reconstruct", photo=PHOTO, out=OUT, device=[]), "auto, cpu, cuda"),
        (line(type="Reconstruct", photo=PHOTO, out=OUT, box=[1, 2, 3]), "box"),
        (line(type="Reconstruct", photo=PHOTO, out=OUT, box=[3, 2, 1, 4]), "box"),
        (line(type="Reconstruct", photo=PHOTO, out=OUT, box=[1, 2, 3, 10**400]), "too large"),
        (
            line(type="Reconstruct", photo=PHOTO, out=OUT, box="XX").replace(b'"XX"', b"[1,2,3,1e999]"),
            "too large",
        ),
        (line(type="Reconstruct", photo=PHOTO, out=OUT, person=0), "from 1"),
        (line(type="Reconstruct", photo=PHOTO, out=OUT, seed=-1), "seed"),
        (line(type="Cancel", job="a" * protocol.MAX_LINE), "bytes"),
        (line(type="Reconstruct", photo=PHOTO, out=OUT, optimise=501), "0 to 500"),
        (line(type="Regenerate", photo=PHOTO, out=OUT), "incomplete"),
        (line(type="Regenerate", photo=PHOTO, out=OUT, body=[]), "body must be an object"),
        (regenerate(body={**STATE, "hat": 1}), "no field hat"),
        (regenerate(body={**STATE, "pose": [[0, 0, 0]] * 23}), "24 x 3"),
        (regenerate(body={**STATE, "pose": [[0, 0]] * 24}), "list of 3"),
        (regenerate(body={**STATE, "pose": [[0, 99, 0]] * 24}), "radians"),
        (regenerate(body={**STATE, "betas": [0] * 11}), "10 numbers"),
        (regenerate(body={**STATE, "betas": [1e3] * 10}), "betas"),
        (regenerate(body={**STATE, "scale": 0}), "scale"),
        (regenerate(body={**STATE, "frame_scale": -1}), "frame_scale"),
        (
            line(type="Regenerate", photo=PHOTO, out=OUT, body={**STATE, "translation": [0, 0, 1e9]}),
            "translation",
        ),
        (regenerate(edited=["neck"] * 2), "twice"),
        (
            regenerate(edited=[*"abcdefghijklmnopqrstuvwxyz"]),
            "24",
        ),
        (regenerate(preview=1), "preview"),
        (line(type="Suggest", photo=PHOTO, out=OUT, body=STATE, count=7), "1 and 6"),
    ],
)
def test_other_lines_are_refused_with_the_reason(bad, says):
    with pytest.raises(RequestError, match=says):
        protocol.decode_request(bad)


def test_a_body_survives_to_the_last_bit():
    decoded = protocol.decode_request(protocol.encode(protocol.Regenerate(PHOTO, OUT, body=BODY)))
    pose = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
    assert np.array_equal(np.array(decoded.body.pose, np.float32), pose)
    assert decoded.body.translation[2] == 1 / 3


def test_a_refused_line_still_names_its_job():
    assert protocol.job_of(line(type="Reconstruct", job="abc", photo=3)) == "abc"
    for nameless in (b"garbage", b"[]", line(type="Hello"), line(job=3), line(job="../up")):
        assert protocol.job_of(nameless) == ""


def test_numbers_that_json_lacks_are_not_sent():
    with pytest.raises(ValueError, match="JSON"):
        protocol.encode(protocol.Progress("abc", "field", float("nan")))


def test_a_failure_is_the_error_it_was():
    error = protocol.Failed("abc", "no_person", "Nobody there.").error()
    assert type(error) is NoPersonError and str(error) == "Nobody there."


def test_job_ids_are_valid_and_differ():
    first, second = protocol.CheckBackend().job, protocol.CheckBackend().job
    assert first != second
    protocol.Cancel(first)


def test_the_pipeline_takes_exactly_what_the_protocol_carries():
    """Both sides hold the limits, so that Blender can refuse at once what the pipeline would refuse later."""
    request = protocol.Reconstruct(PHOTO, OUT)
    assert asdict(options.ReconstructOptions(**request.options())) == request.options()
    assert protocol.RESOLUTIONS == options.RESOLUTIONS
    assert protocol.TEXTURE_SIZES == options.TEXTURE_SIZES
    assert protocol.MOST_ITERATIONS == options.MOST_ITERATIONS
    assert protocol.MOST_SUGGESTIONS == options.MOST_SUGGESTIONS
    assert typing.get_args(protocol.Size) == options.SIZES
    for request, kind in (
        (
            protocol.Regenerate(PHOTO, OUT, body=BODY, edited=("neck",), preview=True),
            options.RegenerateOptions,
        ),
        (protocol.Suggest(PHOTO, OUT, body=BODY, count=2), options.SuggestOptions),
    ):
        assert asdict(kind(**request.options())) == {**request.options(), "body": STATE}
    for faces in protocol.FACES:
        options.ReconstructOptions(PHOTO, faces=faces)
