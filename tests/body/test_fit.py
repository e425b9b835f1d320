from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from pamir_blender.body.confidence import body_confidence, landmark_positions
from pamir_blender.body.estimator import BodyEstimator, LandmarkEstimator
from pamir_blender.body.fit import fit_body
from pamir_blender.body.inverse_kinematics import pose_from_world
from pamir_blender.body.landmarks import facing, load_landmark_model
from pamir_blender.body.least_squares import minimise, robust
from pamir_blender.body.load import load_body_model
from pamir_blender.body.model import BodyModel
from pamir_blender.body.objective import BETAS, PARAMETERS, POSE, LandmarkEvidence, Objective, Weights
from pamir_blender.body.objective import SCALE as SCALE_AT
from pamir_blender.body.objective import SHIFT as SHIFT_AT
from pamir_blender.body.pose_prior import POSE_HIGH, POSE_LOW, clamp_to_limits, limit_penalty, standing_pose
from pamir_blender.body.silhouette import (
    prepare_silhouette,
    rasterise,
    silhouette_iou,
    spread_vertices,
)
from pamir_blender.body.skinning import rodrigues
from pamir_blender.camera import CROP_SIZE, CropWindow, Placement, box_to_crop
from pamir_blender.contracts import LIMBS, Landmarks, Photo
from pamir_blender.errors import Cancelled

SCALE, SHIFT = 0.47, np.array([0.03, 0.05, 0.0])


@pytest.fixture(scope="module")
def model():
    return load_body_model()


@pytest.fixture(scope="module")
def landmark_model(model):
    """Without the network that knows the real detector's errors, which these detections do not have."""
    return load_landmark_model(model, depth=None)


def _pose(name: str) -> torch.Tensor:
    pose = standing_pose().clone()
    if name == "wave":
        pose[17], pose[19] = torch.tensor([0.0, 0.3, -0.6]), torch.tensor([0.0, 1.4, 0.0])
        pose[0] = torch.tensor([0.0, 0.5, 0.0])
        pose[15, 1] = 0.3
    if name == "stride":
        pose[1, 0], pose[2, 0], pose[4, 0], pose[5, 0] = -0.5, 0.4, 0.2, 0.6
        pose[0] = torch.tensor([0.0, -0.8, 0.0])
    if name == "back":
        pose[0] = torch.tensor([0.0, 3.0, 0.0])
    return pose


def _photo(
    model, landmark_model, pose: torch.Tensor, betas: torch.Tensor, **changes
) -> tuple[Photo, np.ndarray]:
    """A detection of a known body, perfect but for the detector's hunch, and its box vertices."""
    out = model(betas[None], pose[None])
    points = landmark_model.positions(betas[None], out.transforms)[0].numpy()
    placement = Placement(SCALE, tuple(SHIFT))
    box = placement.body_to_box(out.vertices[0].numpy())
    mask = rasterise(box, model.faces.numpy()).astype(np.float32)
    world = (points - points[23:25].mean(axis=0)).astype(np.float32)
    world[:, 2] += landmark_model.hunch.numpy() * facing(world)
    values = {
        "image": box_to_crop(placement.body_to_box(points)).astype(np.float32),
        "depth": (points[:, 2] * SCALE).astype(np.float32),
        "world": world,
        "visibility": np.ones(33, np.float32),
        "presence": np.ones(33, np.float32),
        "spread": np.full(33, 0.02, np.float32),
    }
    crop = np.full((CROP_SIZE, CROP_SIZE, 3), 255, np.uint8)
    photo = Photo(
        "made up", "0", crop, mask, (0, 0, CROP_SIZE, CROP_SIZE), CropWindow(1.0, (0.0, 0.0)), crop, mask,
        Landmarks(**{**values, **changes}),
    )  # fmt: skip
    return photo, box


@pytest.mark.parametrize("name", ["stand", "wave", "stride", "back"])
def test_recovers_a_known_body(model, landmark_model, name: str) -> None:
    betas = torch.zeros(10)
    betas[:3] = torch.tensor([0.8, -0.7, 0.5])
    pose = _pose(name)
    photo, box = _photo(model, landmark_model, pose, betas)
    body = fit_body(photo, model, landmarks=landmark_model)
    out = model(torch.tensor(body.betas)[None], torch.tensor(body.pose)[None])
    fitted = body.placement.body_to_box(out.vertices[0].detach().numpy())
    flat = np.linalg.norm((fitted - box)[:, :2], axis=1).mean() / SCALE
    assert flat < 0.02  # metres
    assert silhouette_iou(fitted, model.faces.numpy(), photo.crop_mask) > 0.9
    true = model(betas[None], pose[None])
    joints = out.joints[0] - out.joints[0, 0]
    wanted = true.joints[0] - true.joints[0, 0]
    assert (joints - wanted).norm(dim=1).mean() < 0.045
    assert abs(fitted[:, 2].min() + fitted[:, 2].max()) < 1e-5
    assert set(body.confidence) == set(LIMBS)
    assert min(body.confidence.values()) > 0.5


def test_is_deterministic_and_reports_progress(model, landmark_model) -> None:
    photo, _ = _photo(model, landmark_model, _pose("wave"), torch.zeros(10))
    fractions: list[float] = []
    first = fit_body(photo, model, progress=fractions.append, landmarks=load_landmark_model(model))
    second = LandmarkEstimator().estimate(photo, model)
    np.testing.assert_array_equal(first.pose, second.pose)
    assert first.placement == second.placement
    assert fractions == sorted(fractions)
    assert fractions[0] >= 0
    assert fractions[-1] <= 1
    assert len(fractions) > 10


def test_fits_a_model_of_another_topology(model, landmark_model) -> None:
    """A stranger's file: vertices in another order, its origin elsewhere."""
    photo, box = _photo(model, landmark_model, _pose("wave"), torch.zeros(10))
    order = torch.randperm(model.vertex_count, generator=torch.Generator().manual_seed(0))
    shift = torch.tensor([0.0, -0.22, 0.03])
    other = BodyModel(
        "smpl", model.template[order] + shift, torch.argsort(order)[model.faces], model.shapedirs[order],
        model.posedirs[order], model.joint_regressor[:, order], model.skinning_weights[order],
    )  # fmt: skip
    body = fit_body(photo, other)
    assert body.model == "smpl"
    out = other(torch.tensor(body.betas)[None], torch.tensor(body.pose)[None])
    fitted = body.placement.body_to_box(out.vertices[0].numpy())
    assert np.linalg.norm((fitted - box[order])[:, :2], axis=1).mean() / SCALE < 0.025


def test_without_a_mask_the_landmarks_decide(model, landmark_model) -> None:
    photo, box = _photo(model, landmark_model, _pose("wave"), torch.zeros(10))
    photo = dataclasses.replace(photo, crop_mask=np.zeros_like(photo.crop_mask))
    body = fit_body(photo, model, landmarks=landmark_model)
    out = model(torch.tensor(body.betas)[None], torch.tensor(body.pose)[None])
    fitted = body.placement.body_to_box(out.vertices[0].numpy())
    assert np.linalg.norm((fitted - box)[:, :2], axis=1).mean() / SCALE < 0.025


def test_cancel(model, landmark_model) -> None:
    photo, _ = _photo(model, landmark_model, _pose("stand"), torch.zeros(10))
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        fit_body(photo, model, cancelled=cancelled, landmarks=landmark_model)
    assert len(asked) == 4


def test_unseen_limb_gets_low_confidence_and_hangs_at_rest(model, landmark_model) -> None:
    pose = _pose("wave")
    clean, _ = _photo(model, landmark_model, pose, torch.zeros(10))
    seen = clean.landmarks.visibility.copy()
    seen[[14, 16, 18, 20, 22]] = 0.02
    wild = clean.landmarks.image.copy()
    wild[[14, 16, 18, 20, 22]] += 150
    photo, _ = _photo(model, landmark_model, pose, torch.zeros(10), visibility=seen, image=wild)
    body = fit_body(photo, model, landmarks=landmark_model)
    assert body.confidence["right_arm"] < 0.2 < 0.7 < body.confidence["left_arm"]
    out = model(torch.tensor(body.betas)[None], torch.tensor(body.pose)[None])
    head = body.placement.body_to_box(out.joints[0, 15].numpy())
    true = model(torch.zeros(1, 10), pose[None]).joints[0, 15].numpy() * SCALE + SHIFT
    assert np.linalg.norm((head - true)[:2]) / SCALE < 0.02


def test_initial_pose_faces_the_right_way(model, landmark_model) -> None:
    for name in ("stand", "wave", "stride", "back"):
        photo, _ = _photo(model, landmark_model, _pose(name), torch.zeros(10))
        start = torch.tensor(pose_from_world(photo.landmarks.world, model, landmark_model)).float()
        turn = rodrigues(start[0]).T @ rodrigues(_pose(name)[0])
        angle = torch.arccos(((turn.trace() - 1) / 2).clamp(-1, 1))
        assert angle < 0.35, name
        joints, _ = model.pose_joints(torch.zeros(1, 10), start[None])
        wanted, _ = model.pose_joints(torch.zeros(1, 10), _pose(name)[None])
        assert (joints - wanted).norm(dim=2).mean() < 0.09, name


def test_limits_are_mirrored_and_clamp() -> None:
    assert (POSE_LOW <= POSE_HIGH).all()
    torch.testing.assert_close(POSE_LOW[17, 1:], -POSE_HIGH[16, 1:])
    pose = torch.zeros(1, 24, 3)
    pose[0, 4, 0] = -0.5  # a knee bent the wrong way
    pose[0, 0] = 3.0  # the root is free
    assert limit_penalty(pose) > 0.1
    assert limit_penalty(clamp_to_limits(pose)) == 0
    assert (clamp_to_limits(pose)[0, 0] == 3.0).all()
    assert limit_penalty(standing_pose()[None]) == 0


def test_silhouette_distances_on_a_disc() -> None:
    v, u = np.mgrid[:CROP_SIZE, :CROP_SIZE] + 0.5
    radius = 100
    mask = (((u - 256) ** 2 + (v - 256) ** 2) < radius**2).astype(np.float32)
    silhouette = prepare_silhouette(mask)
    points = np.array([[0.0, 0.0], [0.3, 0.0], [0.0, -0.4]])
    distance, slope = silhouette.sample(points)
    expected = np.array([-100.0, 0.3 * 512 - 100, 0.4 * 512 - 100]) / 512
    np.testing.assert_allclose(distance, expected, atol=2 / 512)
    np.testing.assert_allclose(slope[1:], [[1, 0], [0, -1]], atol=0.02)
    circle = np.linspace(0, 2 * np.pi, 400)
    ring = np.stack([np.cos(circle), np.sin(circle)], axis=1) * radius / 512
    assert silhouette.nearest(ring)[1].max() < 0.006
    assert silhouette.nearest(ring * 0.5)[1].min() > 0.09


def test_empty_mask_has_no_outline() -> None:
    silhouette = prepare_silhouette(np.zeros((CROP_SIZE, CROP_SIZE), np.float32))
    assert len(silhouette.contour) == 0


@pytest.fixture(scope="module")
def objective(model, landmark_model):
    photo, _ = _photo(model, landmark_model, _pose("wave"), torch.ones(10) * 0.3)
    weights = Weights()
    evidence = LandmarkEvidence(photo.landmarks, landmark_model, weights)
    silhouette = prepare_silhouette(photo.crop_mask)
    return Objective(model, landmark_model, evidence, np.eye(3), weights, silhouette, 600)


def _parameters(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.15, PARAMETERS)
    x[POSE] += standing_pose().numpy().ravel()
    x[82] = np.log(SCALE) + 0.02
    x[83:85] = SHIFT[:2] + 0.01
    return x


def test_points_agree_with_the_model(model, objective) -> None:
    x = _parameters(0)
    posture = objective.posture(x)
    pose, betas = torch.tensor(x[POSE].reshape(1, 24, 3)).float(), torch.tensor(x[BETAS][None]).float()
    whole = model(betas, pose)
    np.testing.assert_allclose(posture.place, whole.joints[0].numpy(), atol=1e-5)
    skin = whole.vertices[0, spread_vertices(model, 600)].numpy()
    np.testing.assert_allclose(objective.skin.positions(posture, x[BETAS]), skin, atol=1e-5)


def test_point_jacobian_by_differences(objective) -> None:
    x = _parameters(1)
    points = objective.points
    jacobian = points.jacobian(objective.posture(x), x[BETAS])
    for index in (0, 2, 3 * 9 + 1, 3 * 16 + 2, 3 * 18 + 1, 3 * 4, 72, 79):
        moved = []
        for step in (1e-5, -1e-5):
            y = x.copy()
            y[index] += step
            moved.append(points.positions(objective.posture(y), y[BETAS]))
        np.testing.assert_allclose(jacobian[..., index], (moved[0] - moved[1]) / 2e-5, atol=1e-6)


def test_blocks_are_the_derivatives_of_their_residuals(objective) -> None:
    """All blocks but the mask's, whose matches jump, and the balance, whose support is held fixed."""
    x = _parameters(2)
    _, blocks = objective.evaluate(x, True)
    picked = {"image": 0, "world": 1, "tilt": 3, "prior": 4}
    for index in (1, 3 * 12, 3 * 19 + 1, 75, 83, 85):
        y, z = x.copy(), x.copy()
        y[index] += 1e-5
        z[index] -= 1e-5
        above, below = objective.evaluate(y, False)[1], objective.evaluate(z, False)[1]
        for name, block in picked.items():
            slope = (above[block].residual - below[block].residual) / 2e-5
            np.testing.assert_allclose(blocks[block].jacobian[:, index], slope, atol=2e-4, err_msg=name)


def test_least_squares_ignores_an_outlier() -> None:
    """A robust line fit: one wild point hardly moves it."""
    t = np.linspace(0, 1, 20)
    y = 2 * t + 1
    y[5] += 100

    def evaluate(x: np.ndarray, _: bool) -> tuple[float, list]:
        residual = (x[0] * t + x[1] - y) / 0.01
        block = robust(residual, np.stack([t, np.ones(20)], axis=1) / 0.01, np.ones(20), 1)
        return block.cost, [block]

    found = minimise(np.zeros(2), evaluate, 100, lambda _: None)
    np.testing.assert_allclose(found, [2, 1], atol=0.01)


def test_estimator_is_one() -> None:
    assert isinstance(LandmarkEstimator(), BodyEstimator)


def test_without_landmarks_only_the_mask_and_the_priors_count(model, landmark_model) -> None:
    unseen = np.zeros(33, np.float32)
    nothing = {"image": np.zeros((33, 2), np.float32), "world": np.zeros((33, 3), np.float32)}
    pose, betas = _pose("stand"), torch.zeros(10)
    photo, _ = _photo(model, landmark_model, pose, betas, visibility=unseen, presence=unseen, **nothing)
    weights = Weights()
    evidence = LandmarkEvidence(photo.landmarks, landmark_model, weights)
    silhouette = prepare_silhouette(photo.crop_mask)
    objective = Objective(model, landmark_model, evidence, np.eye(3), weights, silhouette)
    x = np.zeros(PARAMETERS)
    x[POSE], x[SCALE_AT], x[SHIFT_AT] = pose.numpy().ravel(), np.log(SCALE), SHIFT[:2]
    right, blocks = objective.evaluate(x, True)
    assert all(np.isfinite(block.cost) for block in blocks)
    assert blocks[0].cost == blocks[1].cost == 0
    x[SHIFT_AT] += 0.05
    assert objective.evaluate(x, False)[0] > right + 1


def test_another_estimates_depth_bends_a_limb_back(model, landmark_model) -> None:
    """The detector sees a raised forearm pointing away; another estimate knows that it points here."""
    pose, betas = _pose("wave"), torch.zeros(10)
    photo, _ = _photo(model, landmark_model, pose, betas)
    true = fit_body(photo, model, landmarks=landmark_model)
    world = photo.landmarks.world.copy()
    arm = [14, 16, 18, 20, 22]
    world[arm, 2] = 2 * world[12, 2] - world[arm, 2]
    unsure = dataclasses.replace(photo.landmarks, world=world, spread=np.full(33, 0.15, np.float32))
    fooled = dataclasses.replace(photo, landmarks=unsure)

    def wrist(body) -> float:
        out = model(torch.tensor(body.betas)[None], torch.tensor(body.pose)[None])
        return float(out.joints[0, 21, 2] - out.joints[0, 0, 2])

    alone = fit_body(fooled, model, landmarks=landmark_model)
    helped = fit_body(fooled, model, landmarks=landmark_model, prior=true)
    assert abs(wrist(alone) - wrist(true)) > 0.15
    assert abs(wrist(helped) - wrist(true)) < 0.5 * abs(wrist(alone) - wrist(true))


def test_the_priors_block_is_the_derivative_of_its_residual(model, landmark_model) -> None:
    photo, _ = _photo(model, landmark_model, _pose("wave"), torch.zeros(10))
    weights, prior = Weights(), np.random.default_rng(0).normal(0, 0.2, (33, 3))
    evidence = LandmarkEvidence(photo.landmarks, landmark_model, weights, prior)
    objective = Objective(model, landmark_model, evidence, np.eye(3), weights)
    x = _parameters(3)
    block = objective.evaluate(x, True)[1][2]
    for index in (1, 3 * 18 + 1, 75):
        y, z = x.copy(), x.copy()
        y[index] += 1e-5
        z[index] -= 1e-5
        above, below = (objective.evaluate(each, False)[1][2].residual for each in (y, z))
        np.testing.assert_allclose(block.jacobian[:, index], (above - below) / 2e-5, atol=2e-4)


def test_an_estimator_may_ask_another_first(model) -> None:
    class Fixed:
        name = "fixed"

        def estimate(self, photo, model, **_):
            asked.append(photo)
            return fit_body(photo, model)

    asked: list[Photo] = []
    photo, _ = _photo(model, load_landmark_model(model), _pose("stand"), torch.zeros(10))
    both = LandmarkEstimator(prior=Fixed())
    assert both.name == "landmarks and fixed"
    assert both.estimate(photo, model).pose.shape == (24, 3)
    assert asked == [photo]


def test_depths_that_are_put_right_are_those_that_count(model, landmark_model) -> None:
    """The evidence, the fitted arm and the confidence follow the correction."""
    photo, _ = _photo(model, landmark_model, _pose("stand"), torch.zeros(10))
    forward = np.zeros(33)
    forward[[15, 17, 19, 21]] = 0.2  # the left hand, towards the viewer
    corrected = dataclasses.replace(landmark_model, depth=lambda landmarks, world: forward)
    plain, moved = (
        LandmarkEvidence(photo.landmarks, each, Weights()).world for each in (landmark_model, corrected)
    )
    np.testing.assert_allclose(moved - plain, forward[:, None] * [0, 0, 1], atol=1e-9)
    before, after = (fit_body(photo, model, landmarks=each) for each in (landmark_model, corrected))
    wrist = [landmark_positions(model, landmark_model, body)[15, 2] for body in (before, after)]
    assert wrist[1] - wrist[0] > 0.08
    trust = [body_confidence(photo.landmarks, model, each, before) for each in (landmark_model, corrected)]
    assert trust[1]["left_arm"] < 0.8 * trust[0]["left_arm"]


def test_gravity_holds_more_firmly_where_nothing_tells_the_depths(model, landmark_model) -> None:
    photo, _ = _photo(model, landmark_model, _pose("stand"), torch.zeros(10))
    corrected = dataclasses.replace(landmark_model, depth=lambda landmarks, world: np.zeros(33))
    unseen = dataclasses.replace(photo.landmarks, visibility=np.zeros(33, np.float32))
    weights = Weights()
    assert LandmarkEvidence(photo.landmarks, corrected, weights).gravity == weights.gravity
    assert LandmarkEvidence(photo.landmarks, landmark_model, weights).gravity == weights.gravity_alone
    assert LandmarkEvidence(unseen, corrected, weights).gravity == weights.gravity_alone
    assert weights.gravity_alone.balance < weights.gravity.balance
