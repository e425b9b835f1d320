"""The body volume: exact on simple solids, solid where limbs overlap, and its semantic form."""

import numpy as np
import pytest
import torch

from pamir_blender.pamir.semantic import template_code, voxelise_semantic
from pamir_blender.pamir.voxelise import voxelise_occupancy


def sphere(radius, centre=(0.0, 0.0, 0.0), steps=48):
    """A closed latitude-longitude sphere: vertices (V, 3) float32, faces (F, 3) outward."""
    theta = np.linspace(0, np.pi, steps + 1)[1:-1]
    phi = np.linspace(0, 2 * np.pi, 2 * steps, endpoint=False)
    t, p = np.meshgrid(theta, phi, indexing="ij")
    ring = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], -1).reshape(-1, 3)
    vertices = np.concatenate([ring, [[0, 0, 1], [0, 0, -1]]]) * radius + np.array(centre)
    rows, columns = len(theta), len(phi)
    i = np.arange(rows * columns).reshape(rows, columns)
    right = np.roll(i, -1, axis=1)
    a, b, c, d = i[:-1], i[1:], right[1:], right[:-1]
    top, bottom = len(ring), len(ring) + 1
    faces = np.concatenate(
        [
            np.stack([a, b, c], -1).reshape(-1, 3),
            np.stack([a, c, d], -1).reshape(-1, 3),
            np.stack([np.full(columns, top), i[0], right[0]], -1),
            np.stack([np.full(columns, bottom), right[-1], i[-1]], -1),
        ]
    )
    return torch.tensor(vertices, dtype=torch.float32), torch.tensor(faces)


def centres(resolution):
    line = (torch.arange(resolution) + 0.5) / resolution - 0.5
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    return torch.stack([x, y, z], -1)


def overlap(a, b):
    return float((a & b).sum() / (a | b).sum())


def test_analytic_sphere_and_axis_order():
    centre = (0.11, -0.07, 0.05)
    vertices, faces = sphere(0.3, centre, steps=160)
    volume = voxelise_occupancy(vertices[None], faces, 64)
    assert volume.shape == (1, 1, 64, 64, 64)
    assert volume.dtype == torch.float32
    truth = (centres(64) - torch.tensor(centre)).norm(dim=-1) < 0.3
    assert overlap(volume[0, 0] > 0.5, truth) > 0.998


def test_vertices_and_edges_on_voxel_centres():
    """A cube whose faces, edges and diagonals run exactly through the rays leaves no streak."""
    corner = torch.tensor([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], dtype=torch.float32)
    quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    faces = torch.tensor([t for q in quads for t in ((q[0], q[1], q[2]), (q[0], q[2], q[3]))])
    low, high = (8 + 0.5) / 32 - 0.5, (24 + 0.5) / 32 - 0.5
    volume = voxelise_occupancy((low + corner * (high - low))[None], faces, 32)[0, 0]
    assert volume.sum() == 16**3
    filled = volume.nonzero()
    assert (filled.amax(0) - filled.amin(0) == 15).all()


def test_overlapping_solids_stay_solid_and_batches_stay_apart():
    one, faces = sphere(0.2, (-0.1, 0, 0))
    two, _ = sphere(0.2, (0.1, 0, 0))
    both = torch.cat([one, two])
    both_faces = torch.cat([faces, faces + len(one)])
    moved = both + torch.tensor([0.0, 0.2, 0.1])
    volume = voxelise_occupancy(torch.stack([both, moved]), both_faces, 64)[:, 0] > 0.5
    single = voxelise_occupancy(torch.stack([one, two]), faces, 64)[:, 0] > 0.5
    assert torch.equal(volume[0], single[0] | single[1])
    assert torch.equal(volume[1], voxelise_occupancy(moved[None], both_faces, 64)[0, 0] > 0.5)
    assert not torch.equal(volume[0], volume[1])


def test_what_leaves_the_box_is_cut_off_on_every_side():
    vertices, faces = sphere(0.7, steps=32)
    volume = voxelise_occupancy(vertices[None], faces, 32)[0, 0] > 0.5
    truth = centres(32).norm(dim=-1) < 0.7
    assert overlap(volume, truth) > 0.995


def test_wrong_shapes_are_refused():
    vertices, faces = sphere(0.2, steps=8)
    with pytest.raises(ValueError, match="vertices must be"):
        voxelise_occupancy(vertices, faces)


def test_agrees_with_the_winding_number():
    igl = pytest.importorskip("igl", reason="libigl comes with the train extra")
    # A crumpled, self-overlapping closed surface: two bumpy spheres, one rotated into the other.
    one, faces = sphere(0.25, steps=40)
    bumpy = one * (1 + 0.2 * torch.sin(9 * one[:, :1] / 0.25) * torch.cos(7 * one[:, 1:2] / 0.25))
    vertices = torch.cat([bumpy, bumpy.flip(1) * torch.tensor([-1.0, 1.0, 1.0]) + 0.1])
    faces = torch.cat([faces, faces + len(one)])
    points = centres(40).reshape(-1, 3).double().numpy()
    winding = igl.winding_number(vertices.double().numpy(), faces.numpy(), points)
    volume = voxelise_occupancy(vertices[None], faces, 40)[0, 0].reshape(-1) > 0.5
    assert overlap(volume, torch.from_numpy(np.asarray(winding) > 0.5)) > 0.999


def test_semantic_equals_the_sum_over_all_vertices():
    vertices, faces = sphere(0.12, (0.05, 0.1, -0.08), steps=40)
    template = vertices * torch.tensor([2.0, 3.0, 1.0]) + 5
    volume = voxelise_semantic(vertices[None], faces, template, 64)
    assert volume.shape == (1, 3, 64, 64, 64)
    inside = voxelise_occupancy(vertices[None], faces, 64)[0, 0] > 0.5
    assert (volume[0][:, ~inside] == 0).all()
    points = centres(64)[inside].double()
    weight = torch.exp(-(torch.cdist(points, vertices.double()) ** 2) / (2 * 0.05**2))
    truth = weight @ template_code(template).double() / weight.sum(1, keepdim=True)
    assert (volume[0][:, inside].T - truth).abs().max() < 2e-3


def test_semantic_is_differentiable_in_the_vertices():
    vertices, faces = sphere(0.12, steps=16)
    moving = vertices[None].clone().requires_grad_()
    voxelise_semantic(moving, faces, vertices, 32).square().sum().backward()
    assert torch.isfinite(moving.grad).all()
    assert moving.grad.abs().max() > 0
