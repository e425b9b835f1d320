"""The shipped lite weights against the open body alone, on a person made here."""

import numpy as np
import pytest
import torch

from pamir_blender.body.load import load_body_model
from pamir_blender.camera import box_to_crop
from pamir_blender.pamir.surface import extract_surface
from pamir_blender.pamir.voxelise import voxelise_occupancy
from pamir_blender.pamir.weights import find_weights, load_geometry, load_texture
from pamir_blender.rasterise import fragments, nearest

pytest.importorskip("igl", reason="libigl is not installed (extra 'train')")

from pamir_blender.training.metrics import surface_scores

SCALE = 0.45  # box units per metre


@pytest.fixture(scope="module")
def person():
    """The open body, arms lowered, in loose clothes: everything but head, hands and feet 2.5 cm thicker.

    Body and clothed vertices in the box, faces, and the network's image and volume.
    """
    model = load_body_model()
    pose = torch.zeros(1, 24, 3)
    pose[0, 16, 2], pose[0, 17, 2] = -1.1, 1.1
    with torch.no_grad():
        body = model(torch.zeros(1, 10), pose).vertices[0].numpy()
    body = (body - (body.min(0) + body.max(0)) / 2) * SCALE
    faces = model.faces.numpy()
    corners = body[faces]
    normals = np.zeros_like(body)
    weighted = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    for corner in range(3):
        np.add.at(normals, faces[:, corner], weighted)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    joint = model.skinning_weights.numpy().argmax(axis=1)
    bare = np.isin(joint, [7, 8, 10, 11, 12, 15, 20, 21, 22, 23])
    clothed = body + np.where(bare, 0.0, 0.025 * SCALE)[:, None] * normals
    albedo = np.where(bare[:, None], [0.75, 0.55, 0.45], [0.2, 0.25, 0.5])
    light = 0.55 + 0.45 * normals @ [0.3, 0.5, 0.81]
    size = (256, 256)
    pieces = fragments(box_to_crop(clothed)[faces] / 2, size)
    depth = pieces.interpolate(clothed[faces][:, :, 2:].astype(np.float32))[:, 0]
    winner, _ = nearest(pieces, depth, size)
    colors = pieces.interpolate((albedo * light[:, None]).astype(np.float32)[faces])
    mask = winner >= 0
    image = np.where(mask[..., None], colors[winner], 1.0)
    image = torch.from_numpy(np.concatenate([image, mask[..., None]], axis=-1)).float().permute(2, 0, 1)[None]
    volume = voxelise_occupancy(torch.from_numpy(body)[None].float(), model.faces)
    return body, clothed, faces, image, volume


def test_shipped_geometry_is_nearer_to_the_clothes_than_the_body_alone(person):
    body, clothed, faces, image, volume = person
    network = load_geometry(find_weights("geometry", "lite"))
    features = network.prepare(image, volume)
    surface = extract_surface(lambda points: network.query(features, points), 128, hint=body)
    truth = (clothed, faces)
    ours = surface_scores((surface.vertices, surface.faces), truth, SCALE, samples=4000)
    alone = surface_scores((body, faces), truth, SCALE, samples=4000)
    assert ours.chamfer < 0.8 * alone.chamfer, (ours, alone)
    assert ours.silhouette_iou > 0.9 > alone.silhouette_iou, (ours, alone)


def test_shipped_texture_trusts_the_photo_in_front_and_colours_the_back(person):
    _, clothed, _, image, volume = person
    geometry = load_geometry(find_weights("geometry", "lite"))
    network = load_texture(find_weights("texture", "lite"))
    points = torch.from_numpy(clothed)[None].float()
    with torch.inference_mode():
        maps = network.encode_image(image, geometry.encode_image(image))
        rgba = network.decode(maps, network.encode_volume(volume), points)[0]
    torso = (points[0, :, 1] > 0.0) & (points[0, :, 1] < 0.2) & (points[0, :, 0].abs() < 0.05)
    front, back = torso & (points[0, :, 2] > 0.04), torso & (points[0, :, 2] < -0.03)
    assert front.sum() > 20
    assert back.sum() > 20
    assert rgba[front, 3].mean() > 0.6
    assert rgba[back, 3].mean() < 0.4
    assert rgba[back, 2].mean() > rgba[back, 0].mean() + 0.05  # a blue shirt is blue behind, too
