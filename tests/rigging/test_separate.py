"""Arms that have grown together with the torso come loose; everything else stays as it is."""

import numpy as np
import pytest
from capsule_figure import distances, surface

from pamir_blender.rigging.holes import fill, rims
from pamir_blender.rigging.mesh import edges, is_closed
from pamir_blender.rigging.rest_pose import pose, unpose
from pamir_blender.rigging.separate import separate_arms
from pamir_blender.rigging.skin_weights import transfer_skin_weights


@pytest.fixture(scope="module")
def fused(figure):
    """Thick clothes: both forearms and hands have melted into the hips."""

    def field(points):
        bones = distances(points, figure.joints_posed) - 0.02
        return -0.02 * np.log(np.exp(-bones / 0.02).sum(1))

    vertices, faces = surface(field)
    assert is_closed(faces)
    return vertices, faces


def separate(figure, vertices, faces):
    return separate_arms(
        vertices, faces, figure.body, figure.body_faces, figure.body_weights, figure.body_rest
    )


def longest_stretch(figure, vertices, faces):
    """How many times longer the worst edges become in the T-pose, and the unposed vertices."""
    joints, weights = transfer_skin_weights(
        figure.body, figure.body_faces, figure.body_weights, vertices, faces
    )
    rest = unpose(vertices, joints, weights, figure.transforms)
    again = pose(rest.vertices, rest.joints, rest.weights, figure.transforms)
    assert np.abs(again - vertices).max() < 1e-5
    one, two = edges(faces).T
    before = np.linalg.norm(vertices[one] - vertices[two], axis=1)
    after = np.linalg.norm(rest.vertices[one] - rest.vertices[two], axis=1)
    return np.quantile((after / before)[before > 0.004], 0.999), rest.vertices


def test_arms_come_loose_and_the_mesh_stays_closed(figure, fused):
    vertices, faces = fused
    kept, cut_faces, cuts = separate(figure, vertices, faces)
    assert cuts >= 1
    assert is_closed(cut_faces)
    assert cut_faces.max() == len(kept) - 1
    assert len(kept) > 0.95 * len(vertices)
    before, winged = longest_stretch(figure, vertices, faces)
    after, free = longest_stretch(figure, vertices[kept], cut_faces)
    assert after < 0.6 * before

    def below_the_arms(rest):
        """Area of what hangs under the forearms in the T-pose, as vertices."""
        return np.count_nonzero((np.abs(rest[:, 0]) > 0.3) & (rest[:, 1] < 0.3))

    assert below_the_arms(winged) > 20
    assert below_the_arms(free) < 0.2 * below_the_arms(winged)


def test_free_arms_are_left_alone(figure):
    vertices, faces = surface(lambda p: distances(p, figure.joints_rest).min(1) - 0.015)
    kept, same, cuts = separate_arms(
        vertices, faces, figure.body_rest, figure.body_faces, figure.body_weights, figure.body_rest
    )
    assert cuts == 0
    assert np.array_equal(same, faces)
    assert len(kept) == len(vertices)


def test_an_open_mesh_is_left_alone(figure, fused):
    vertices, faces = fused
    kept, same, cuts = separate(figure, vertices, faces[10:])
    assert cuts == 0
    assert np.array_equal(same, faces[10:])
    assert np.array_equal(kept, np.arange(len(vertices)))


def test_holes_are_found_and_closed():
    vertices, faces = surface(lambda p: np.linalg.norm(p, axis=1) - 0.3)
    opened = faces[vertices[faces].mean(1)[:, 2] < 0.2]
    loops = rims(opened)
    assert len(loops) == 1
    assert np.abs(vertices[loops[0]][:, 2] - 0.2).max() < 0.03
    closed = np.concatenate([opened, fill(vertices, loops[0], set())])
    assert is_closed(closed)
    assert rims(closed) == []


def test_rims_that_touch_are_not_guessed_at():
    fan = np.array([[0, 1, 2], [0, 3, 4]])
    assert rims(fan) is None


def test_taken_diagonals_are_avoided():
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    other = fill(square, np.arange(4), {(0, 2)})
    assert sorted(map(sorted, other)) == [[0, 1, 3], [1, 2, 3]]
    assert fill(square, np.arange(4), {(0, 2), (1, 3)}) is None
