"""The detector's hunch is found again in made-up detections that have one."""

import numpy as np

from pamir_blender.body.landmarks import load_landmark_model
from pamir_blender.body.load import load_body_model
from pamir_blender.contracts import LANDMARK_MIRROR
from pamir_blender.training.calibrate_landmarks import hunch_of


def test_the_hunch_is_found_in_spite_of_leans_noise_and_wild_detections():
    rng = np.random.default_rng(0)
    body = load_landmark_model(load_body_model()).template.numpy().astype(float)
    body -= body[23:25].mean(axis=0)
    hunch = rng.uniform(0.0, 0.1, 33)
    hunch[23:29] = 0  # what else of the frame was ahead would be taken for a lean
    hunch[11:13] = 0
    hunch = (hunch + hunch[LANDMARK_MIRROR]) / 2
    world, true = [], []
    for index in range(200):
        yaw, lean = rng.normal(0, 0.8), rng.normal(0, 0.15)
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        tilt = np.array([[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]])
        true.append(body @ turn.T)
        seen = true[-1] @ tilt.T
        seen[:, 2] += hunch * np.cos(yaw)
        seen += rng.normal(0, 0.002, (33, 3))
        world.append(seen if index % 10 else rng.normal(0, 0.5, (33, 3)))
    np.testing.assert_allclose(hunch_of(np.array(world), np.array(true)), hunch, atol=0.006)
