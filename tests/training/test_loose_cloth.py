import numpy as np
import torch

from pamir_blender.training.loose_cloth import add_loose_cloth


def columns():
    """Two persons who are upright columns at depth 0.1, their points spread over the box."""
    rng = np.random.default_rng(0)
    body = rng.uniform([-0.05, -0.4, 0.08], [0.05, 0.4, 0.12], (2, 6890, 3))
    points = rng.uniform(-0.5, 0.5, (2, 2000, 3))
    image = torch.ones(2, 4, 64, 64)
    image[:, 3] = 0.0
    image[:, :, 6:58, 28:36] = 0.5
    image[:, 3, 6:58, 28:36] = 1.0
    return {
        "image": image,
        "points": torch.from_numpy(points).float(),
        "occupancy": (torch.from_numpy(points[..., 0]).abs() < 0.05).float(),
        "body": torch.from_numpy(body).float(),
    }


def test_cloth_grows_the_mask_and_is_a_thin_sheet_at_the_body_depth():
    batch = columns()
    changed = add_loose_cloth(batch, 1.0, np.random.default_rng(1))
    for item in range(2):
        grown = changed["image"][item, 3] - batch["image"][item, 3]
        assert grown.min() >= 0.0
        assert (grown > 0.5).sum() > 20
        moved = (changed["points"][item] != batch["points"][item]).any(dim=-1)
        assert moved.sum() == 500
        points, inside = changed["points"][item][moved], changed["occupancy"][item][moved] > 0.5
        assert 50 < inside.sum() < 450
        assert (points[inside][:, 2] - 0.1).abs().max() < 0.03
        column, row = ((points[:, :2] * torch.tensor([1, -1]) + 0.5) * 64).long().T
        assert (grown[row, column] > 0.5).all()
        doubtful = changed["weights"][item] == 0
        assert ((batch["points"][item][doubtful][:, 2] - 0.1).abs() < 0.06).all()
        untouched = ~moved
        assert torch.equal(changed["occupancy"][item][untouched], batch["occupancy"][item][untouched])


def test_no_cloth_leaves_the_batch_as_it_is():
    batch = columns()
    changed = add_loose_cloth(batch, 0.0, np.random.default_rng(1))
    for key, value in batch.items():
        assert torch.equal(changed[key], value)
    assert (changed["weights"] == 1).all()


def test_the_given_batch_is_not_changed():
    batch, again = columns(), columns()
    add_loose_cloth(batch, 1.0, np.random.default_rng(1))
    for key, value in batch.items():
        assert torch.equal(again[key], value)
