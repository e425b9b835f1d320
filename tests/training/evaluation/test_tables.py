"""Rows to tables, on rows made up by hand."""

from pathlib import Path

import pytest

pytest.importorskip("igl", reason="libigl is not installed (extra 'train')")

from pamir_blender.errors import RequestError, WeightsError
from pamir_blender.training.evaluation import paper
from pamir_blender.training.evaluation.case import Condition
from pamir_blender.training.evaluation.contender import Contender, geometry_file, parse_weights
from pamir_blender.training.evaluation.photos import photos_table
from pamir_blender.training.evaluation.tables import gains_table, markdown_table, summarise


def row(view, value, weights="ours", body="estimated", optimised=False, **more):
    scores = {"point_to_surface": value, "chamfer": 2 * value, "mpjpe": 3.0, "silhouette_iou": 0.9}
    scores |= {"normal_error": None, "normal_degrees": 10.0}
    base = {"view": view, "weights": weights, "body": body, "optimised": optimised, "ok": True, "reason": ""}
    return {**base, "scores": scores, **more}


def failed(view, **more):
    return {**row(view, 0.0, **more), "ok": False, "reason": "no person", "scores": {}}


def contender(name="ours", variant="pamir", command=()):
    return Contender(name, Path("x"), "0" * 64, None, variant, {"command": list(command)})


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]


def test_means_are_over_the_views_that_succeeded():
    line = Condition("ours", "estimated")
    (entry,) = summarise([row("a", 1.0), row("b", 2.0), failed("c"), row("a", 9.0, body="true")], [line])
    assert (entry["views"], entry["failed"]) == (2, 1)
    assert entry["point_to_surface"] == 1.5
    assert entry["normal_error"] is None


def test_a_condition_without_any_view_has_no_numbers():
    (entry,) = summarise([failed("a")], [Condition("ours", "estimated")])
    assert entry["point_to_surface"] is None
    assert cells(markdown_table([entry], [contender()]))[2][2:4] == ["0 (1 failed)", "-"]


def test_the_table_has_the_papers_figures_beside_ours():
    lines = [Condition(None, "true"), Condition("ours", "true"), Condition("ours", "estimated", True)]
    rows = [
        row("a", 1.234, weights=None, body="true"),
        row("a", 0.5, body="true"),
        row("a", 1.0, optimised=True),
    ]
    table = cells(markdown_table(summarise(rows, lines), [contender()]))
    head, rule, alone, true, optimised = table
    assert set(rule) == {"---"}
    assert len({len(line) for line in table}) == 1
    assert head[3:5] == ["P2S cm", "Chamfer cm"]
    assert all("paper*" in text for text in head[-2:])
    assert alone[:5] == ["none: the body alone", "true", "1", "1.23", "2.47"]
    assert alone[-2:] == ["", ""]
    assert true[-2:] == ["0.71 / 0.94; 0.74 / 1.00", ""]
    assert optimised[1] == "estimated, optimised"
    assert optimised[-2:] == ["1.52 / 1.92; 1.80 / 2.12", "2.49; 2.74"]


@pytest.mark.parametrize(
    ("variant", "command", "body", "wanted"),
    [
        ("pifu", [], "true", paper.PIFU),
        ("pamir", ["--no-depth-shift"], "estimated", paper.NO_DEPTH_SHIFT),
        ("pamir", ["--no-depth-shift"], "true", None),
        ("pamir", ["--bodies", "true", "--seed", "0"], "photo", paper.TRAINED_ON_TRUE),
        ("pamir", ["--bodies", "mixed", "true"], "photo", paper.ESTIMATED),
    ],
)
def test_ablations_stand_beside_the_papers(variant, command, body, wanted):
    assert paper.beside(body, optimised=False, variant=variant, command=command) is wanted


def test_gains_compare_the_same_views_alone():
    rows = [row("a", 2.0), row("b", 1.0), row("c", 50.0)]
    rows += [row("a", 1.0, optimised=True), row("b", 1.5, optimised=True, optimisation={"kept": False})]
    rows += [failed("c", optimised=True)]
    line = cells(gains_table(rows))[2]
    assert line[:6] == ["ours", "estimated", "2", "3.00 to 3.00", "1.50 to 1.25", "3.00 to 2.50"]
    assert line[6:] == ["50%", "50%"]
    assert gains_table(rows[:3]) == ""


def test_names_cannot_break_a_table():
    entry = summarise([row("a", 1.0, weights="a|b")], [Condition("a|b", "estimated")])
    table = cells(markdown_table(entry, [contender("a|b")]))
    assert len(table[2]) == len(table[0])
    photos = [{"photo": "x|y.jpg", "ok": False, "reason": "nobody |\n here"}]
    assert photos_table(photos).splitlines()[2] == "| x/y.jpg | refused | | nobody / here |"


def test_the_photo_table_begins_with_the_worst():
    rows = [
        {"photo": "a", "ok": True, "silhouette_iou": 0.95, "warnings": ["The left arm was guessed."]},
        {"photo": "b", "ok": True, "silhouette_iou": 0.85, "warnings": []},
        {"photo": "c", "ok": False, "reason": "cropped"},
    ]
    text = photos_table(rows)
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:5]] == ["b", "a", "c"]
    assert "Mean silhouette IoU 0.900, lowest 0.850, over 2." in text
    assert "1 of 3 refused." in text
    assert "guessed" in text


def test_weights_are_named():
    assert parse_weights(None) == {"shipped": None}
    assert parse_weights(["a=x/y", "shipped"]) == {"a": Path("x/y"), "shipped": None}
    for bad in (["x/y"], ["=x"], ["a="], ["a=x", "a=y"]):
        with pytest.raises(RequestError, match="--weights"):
            parse_weights(bad)


def test_weights_are_found_where_a_training_puts_them(tmp_path):
    with pytest.raises(WeightsError, match="no geometry weights"):
        geometry_file(tmp_path, "lite")
    (tmp_path / "geometry").mkdir()
    for name in ("geometry/weights.safetensors", "weights.safetensors", "lite_geometry.safetensors"):
        (tmp_path / name).touch()
        assert geometry_file(tmp_path, "lite") == tmp_path / name
    assert geometry_file(tmp_path / "weights.safetensors", "lite") == tmp_path / "weights.safetensors"
