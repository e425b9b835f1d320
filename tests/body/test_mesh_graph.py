"""The body graph: decimation, the matrices to the mesh and back, the cache, and GraphCMR's own file."""

import pickle
import zipfile
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import sparse

from pamir_blender.body.graph_file import read_mesh_downsampling
from pamir_blender.body.mesh_graph import (
    BodyGraph,
    body_graph,
    build_body_graph,
    closest_barycentric,
    load_body_graph,
    normalised_template,
    row_normalised,
    save_body_graph,
)
from pamir_blender.errors import BodyModelError


@dataclass
class Sphere:
    """What the graph needs of a body model: a closed mesh with a name."""

    template: torch.Tensor
    faces: torch.Tensor
    name: str = "sphere"


def _sphere(rings=16, around=24):
    theta = np.linspace(0, np.pi, rings + 1)[1:-1]
    phi = np.linspace(0, 2 * np.pi, around, endpoint=False)
    grid = np.stack(
        [
            np.sin(theta)[:, None] * np.cos(phi),
            np.sin(theta)[:, None] * np.sin(phi),
            np.repeat(np.cos(theta)[:, None], around, axis=1),
        ],
        axis=-1,
    ).reshape(-1, 3)
    poles = np.array([[0, 0, 1], [0, 0, -1]])
    vertices = np.vstack([grid, poles]) + np.array([0.3, 1.0, -0.2])
    top, bottom = len(grid), len(grid) + 1
    faces = []
    for j in range(around):
        k = (j + 1) % around
        faces.append([top, j, k])
        faces.append([bottom, (rings - 2) * around + k, (rings - 2) * around + j])
        for i in range(rings - 2):
            a, b = i * around + j, i * around + k
            faces += [[a, a + around, b], [b, a + around, b + around]]
    return Sphere(torch.tensor(vertices, dtype=torch.float32), torch.tensor(faces))


@pytest.fixture(scope="module")
def sphere():
    return _sphere()


@pytest.fixture(scope="module")
def graph(sphere):
    return build_body_graph(sphere, 100)


def _same(a: BodyGraph, b: BodyGraph):
    assert a.model == b.model
    for name in ("positions", "edges", "weights"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    for name in ("downsample", "upsample"):
        assert (getattr(a, name) != getattr(b, name)).nnz == 0


def test_sizes_and_row_sums(sphere, graph):
    count = len(sphere.template)
    assert graph.positions.shape == (100, 3) and graph.positions.dtype == np.float32
    assert graph.downsample.shape == (100, count) and graph.upsample.shape == (count, 100)
    np.testing.assert_allclose(np.asarray(graph.downsample.sum(axis=1)), 1, atol=1e-5)
    np.testing.assert_allclose(np.asarray(graph.upsample.sum(axis=1)), 1, atol=1e-5)
    rows = np.bincount(graph.edges[0], weights=graph.weights, minlength=100)
    np.testing.assert_allclose(rows, 1, atol=1e-5)


def test_neighbours_are_mutual_and_include_the_vertex(graph):
    pairs = set(map(tuple, graph.edges.T.tolist()))
    assert all((i, i) in pairs for i in range(100))
    assert all((b, a) in pairs for a, b in pairs)
    # A closed triangle mesh of genus 0 has 3 V - 6 edges.
    assert len(pairs) == 100 + 2 * (3 * 100 - 6)


def test_there_and_back_stays_near_the_mesh(sphere, graph):
    template = sphere.template.numpy()
    back = graph.upsample @ (graph.downsample @ template)
    assert np.linalg.norm(back - template, axis=1).max() < 0.12  # the chord's distance at 100 vertices
    assert np.linalg.norm(back - template, axis=1).mean() < 0.03
    np.testing.assert_allclose(graph.positions, graph.downsample @ normalised_template(template), atol=1e-6)


def test_template_is_centred_and_scaled():
    normalised = normalised_template(np.array([[1.0, 1.0, 1.0], [2.0, 5.0, 1.0], [3.0, 2.0, 1.0]]))
    np.testing.assert_allclose(normalised, [[-0.5, -1, 0], [0, 1, 0], [0.5, -0.5, 0]])


def test_the_graph_is_always_the_same(sphere, graph):
    _same(build_body_graph(sphere, 100), graph)


def test_a_mesh_too_small_is_refused(sphere):
    with pytest.raises(BodyModelError, match="sphere could not be reduced to a graph of 5000"):
        build_body_graph(sphere, 5000)


def test_closest_points_against_dense_sampling():
    rng = np.random.default_rng(0)
    triangles, points = rng.normal(size=(40, 3, 3)), rng.normal(size=(40, 3)) * 2
    weights = closest_barycentric(points, triangles)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    found = np.linalg.norm(np.einsum("nk,nkc->nc", weights, triangles) - points, axis=1)
    u, v = np.meshgrid(np.linspace(0, 1, 101), np.linspace(0, 1, 101))
    inside = u + v <= 1
    dense = np.stack([1 - u - v, u, v], axis=-1)[inside]
    sampled = np.linalg.norm(np.einsum("mk,nkc->nmc", dense, triangles) - points[:, None], axis=2).min(axis=1)
    assert (found <= sampled + 1e-9).all()
    np.testing.assert_allclose(found, sampled, atol=0.02)


def test_row_normalised_ignores_values_and_repeats():
    matrix = sparse.coo_matrix(([5.0, 2.0, 2.0], ([0, 1, 1], [1, 2, 2])), shape=(4, 4))
    edges, weights = row_normalised(matrix)
    dense = np.zeros((4, 4))
    dense[tuple(edges)] = weights
    np.testing.assert_allclose(
        dense, [[0.5, 0.5, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 1, 0], [0, 0, 0, 1]], atol=1e-6
    )


def test_cache_round_trip(sphere, graph, tmp_path, monkeypatch):
    save_body_graph(tmp_path / "g.npz", graph)
    _same(load_body_graph(tmp_path / "g.npz"), graph)
    monkeypatch.setattr("pamir_blender.body.mesh_graph.build_body_graph", lambda _: graph)
    first = body_graph(sphere, tmp_path / "cache")
    monkeypatch.setattr("pamir_blender.body.mesh_graph.build_body_graph", None)
    _same(body_graph(sphere, tmp_path / "cache"), first)
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.parametrize("damage", ["truncated", "edges", "empty"])
def test_a_damaged_cache_is_refused(graph, tmp_path, damage):
    path = tmp_path / "g.npz"
    if damage == "edges":
        edges = graph.edges.copy()
        edges[0, 0] = 100
        graph = BodyGraph(
            graph.model, graph.positions, edges, graph.weights, graph.downsample, graph.upsample
        )
    save_body_graph(path, graph)
    if damage != "edges":
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2] if damage == "truncated" else b"")
    with pytest.raises(BodyModelError, match=r"g\.npz is damaged"):
        load_body_graph(path)


def _objects(*matrices):
    array = np.empty(len(matrices), dtype=object)
    array[:] = matrices
    return array


def _graphcmr_file(path, graph, form="csc", **changes):
    count = len(graph.positions)
    adjacency = sparse.coo_matrix((graph.weights, graph.edges), shape=(count, count))
    entries = {
        "A": _objects(sparse.identity(3).asformat(form), adjacency.asformat(form)),
        "U": _objects(graph.upsample.asformat(form)),
        "D": _objects(graph.downsample.asformat(form)),
    }
    np.savez(path, **(entries | changes))
    return path


@pytest.mark.parametrize("form", ["csc", "csr", "coo"])
def test_graphcmrs_own_file(sphere, graph, tmp_path, form):
    read = read_mesh_downsampling(_graphcmr_file(tmp_path / "m.npz", graph, form), sphere)
    np.testing.assert_array_equal(read.edges, graph.edges)
    np.testing.assert_allclose(read.weights, graph.weights)
    np.testing.assert_allclose(read.positions, graph.positions, atol=1e-6)
    assert abs(read.upsample - graph.upsample).max() == 0


def test_a_graph_of_another_model_is_refused(graph, tmp_path):
    path = _graphcmr_file(tmp_path / "m.npz", graph)
    with pytest.raises(BodyModelError, match="does not fit the body model sphere"):
        read_mesh_downsampling(path, _sphere(rings=10))


class _Harmful:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def test_code_in_a_graph_file_is_not_run(sphere, graph, tmp_path):
    target = tmp_path / "was_run"
    path = _graphcmr_file(tmp_path / "m.npz", graph, U=_objects(_Harmful(target)))
    with pytest.raises(BodyModelError, match="Nothing of it was run"):
        read_mesh_downsampling(path, sphere)
    assert not target.exists()


def test_indices_outside_the_matrix_are_refused(sphere, graph, tmp_path):
    bad = graph.upsample.copy()
    bad.indices[0] = 10**6
    path = _graphcmr_file(tmp_path / "m.npz", graph)
    entry = _objects(bad)
    with zipfile.ZipFile(path) as archive:
        kept = {n: archive.read(n) for n in archive.namelist() if n != "U.npy"}
        header = archive.read("U.npy")[: 128 if archive.read("U.npy")[6] == 1 else 0]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in kept.items():
            archive.writestr(name, data)
        archive.writestr("U.npy", header + pickle.dumps(entry, protocol=3))
    with pytest.raises(BodyModelError, match=r"m\.npz"):
        read_mesh_downsampling(path, sphere)


@pytest.mark.parametrize("content", [b"", b"not an archive"])
def test_files_that_are_no_archives_are_refused(sphere, tmp_path, content):
    path = tmp_path / "m.npz"
    path.write_bytes(content)
    with pytest.raises(BodyModelError, match="not a readable mesh_downsampling"):
        read_mesh_downsampling(path, sphere)
