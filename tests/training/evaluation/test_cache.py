"""Rows are kept under all that they depend on, this program included."""

from pamir_blender.training.evaluation import cache


def test_a_changed_program_measures_again(tmp_path, monkeypatch):
    before = cache.RowCache.key(view="a")
    assert cache.RowCache.key(view="a") == before != cache.RowCache.key(view="b")
    monkeypatch.setattr(cache, "program_digest", lambda: "another")
    assert cache.RowCache.key(view="a") != before
