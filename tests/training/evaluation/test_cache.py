"""Rows are kept under all that they depend on, this program included."""

from pamir_blender.training.evaluation import cache


def test_a_changed_program_measures_again(tmp_path, monkeypatch):
    before = cache.RowCache.key(view="a")
    assert cache.RowCache.key(view="a") == before != cache.RowCache.key(view="b")
    monkeypatch.setattr(cache, "program_digest", lambda: "another")
    assert cache.RowCache.key(view="a") != before


def test_another_file_that_finds_bodies_measures_again(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "models_dir", lambda: tmp_path)
    names = ("open_body.npz", "pose_detection.tflite", "landmark_depth.safetensors")
    digests = []
    for change in (None, *names, "lite_geometry.safetensors", "landmark_depth.md"):
        for name in names if change is None else (change,):
            (tmp_path / name).write_bytes(b"first" if change is None else b"second")
        cache.program_digest.cache_clear()
        digests.append(cache.program_digest())
    cache.program_digest.cache_clear()
    assert len(set(digests)) == 4
    assert digests[3] == digests[4] == digests[5]  # networks that are measured have keys of their own
