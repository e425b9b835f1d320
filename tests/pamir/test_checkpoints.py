"""Released checkpoints: made here in the released layout, and computed with as the released code does.

The forward passes below read the checkpoint by its own names, so that a tensor put into the wrong place of
our networks shows in the values.
"""

import copy
import pickle

import pytest
import torch
from tiny_networks import geometry_config, inputs, randomise, texture_config
from torch.nn import functional

from pamir_blender.body.graph_network import GraphCmr, GraphCmrConfig
from pamir_blender.errors import WeightsError
from pamir_blender.pamir import checkpoint_names as names
from pamir_blender.pamir import checkpoints
from pamir_blender.pamir.config import GeometryConfig, TextureConfig
from pamir_blender.pamir.geometry import GeometryNetwork
from pamir_blender.pamir.texture import TextureNetwork

GRAPH_CONFIG = GraphCmrConfig(
    graph_vertices=12, width=16, blocks=2, shape_widths=(32, 16), regressor_width=8, regressor_blocks=2,
    variant="released",
)  # fmt: skip


def _conv(s, name, x, **options):
    convolution = functional.conv2d if x.ndim == 4 else functional.conv3d
    return convolution(x, s[f"{name}.weight"], s[f"{name}.bias"], **options)


def _norm(s, name, x, groups=4):
    return functional.group_norm(x, groups, s[f"{name}.weight"], s[f"{name}.bias"])


def _hourglass_residual(s, name, x):
    y = _conv(s, f"{name}.conv1", functional.relu(_norm(s, f"{name}.bn", x)), padding=1)
    y = _conv(s, f"{name}.conv3", functional.relu(_norm(s, f"{name}.bn2", y)), padding=1)
    return y + (_conv(s, f"{name}.conv4", x) if f"{name}.conv4.weight" in s else x)


def _chain(s, name, x, count=2):
    for j in range(count):
        x = _hourglass_residual(s, f"{name}.{j}", x)
    return x


def _hourglass(s, name, x, depth):
    low = _chain(s, f"{name}.low1_", functional.max_pool2d(x, 2))
    low = _hourglass(s, f"{name}.low2", low, depth - 1) if depth > 1 else _chain(s, f"{name}.low2_", low)
    low = _chain(s, f"{name}.low3_", low)
    up = functional.interpolate(low, scale_factor=2, mode="bilinear", align_corners=False)
    return _chain(s, f"{name}.up1_", x) + up


def _released_image_features(s, image, stacks=2, modules=2, depth=2):
    x = functional.relu(_norm(s, "hg.bn1", _conv(s, "hg.conv1_", image, stride=2, padding=3)))
    x = functional.max_pool2d(_hourglass_residual(s, "hg.r1", x), 2)
    x = _hourglass_residual(s, "hg.r5", _hourglass_residual(s, "hg.r4", x))
    for i in range(stacks):
        y = _hourglass(s, f"hg.hourglass.{i}", x, depth)
        for j in range(modules):
            y = _hourglass_residual(s, f"hg.Residual.{i * modules + j}", y)
        y = functional.relu(_norm(s, f"hg.lin_.{i}.1", _conv(s, f"hg.lin_.{i}.0", y)))
        output = _conv(s, f"hg.tmpOut.{i}", y)
        if i < stacks - 1:
            x = x + _conv(s, f"hg.ll_.{i}", y) + _conv(s, f"hg.tmpOut_.{i}", output)
    return output


def _released_volume_features(s, volume):
    x = volume
    for i in (1, 2):
        x = _conv(s, f"ve.conv{i}", x, stride=2, padding=4, dilation=2)
        x = functional.relu(_norm(s, f"ve.bn{i}", x))
    for i in (1, 2, 3):
        y = functional.relu(_norm(s, f"ve.r{i}.bn1", _conv(s, f"ve.r{i}.conv1", x, padding=2, dilation=2)))
        x = x + _norm(s, f"ve.r{i}.bn2", _conv(s, f"ve.r{i}.conv2", y, padding=1))
    return x


def _released_decode(s, features, volume_features, points):
    scale = 1.953125 * 10 / (10 - points[..., 2])
    at = torch.stack([points[..., 0] * scale, -points[..., 1] * scale], -1)[:, :, None]
    pixel = functional.grid_sample(features, at, align_corners=False, padding_mode="border")
    voxel = functional.grid_sample(
        volume_features, points[:, :, None, None] * 2, align_corners=False, padding_mode="border"
    )
    x = torch.cat([pixel, voxel[..., 0]], dim=1)
    y = functional.leaky_relu(_conv(s, "mlp.conv0.0", x), 0.2)
    for i in (1, 2, 3):
        y = functional.leaky_relu(_conv(s, f"mlp.conv{i}.0", torch.cat([x, y], dim=1)), 0.2)
    return torch.sigmoid(_conv(s, "mlp.conv4.0", y))[..., 0].transpose(1, 2)


def _released_texture_features(s, image, blocks=2):
    x = functional.pad(image, (3, 3, 3, 3), mode="circular")
    x = functional.relu(_norm(s, "cg.bn1", _conv(s, "cg.conv1", x)))
    for i in (2, 3):
        x = functional.relu(_norm(s, f"cg.bn{i}", _conv(s, f"cg.conv{i}", x, stride=2, padding=1)))
    for i in range(1, blocks + 1):
        y = functional.relu(_norm(s, f"cg.r{i}.bn1", _conv(s, f"cg.r{i}.conv1", x, padding=1)))
        x = x + _norm(s, f"cg.r{i}.bn2", _conv(s, f"cg.r{i}.conv2", y, padding=1))
    return x


def _in_released_layout(network, place, reshape=lambda name, value: value):
    return {place(n): reshape(place(n), v.clone()) for n, v in network.state_dict().items()}


def _convolutional(name, value):
    return value[:, :, None, None] if name.startswith("mlp.") and value.ndim == 2 else value


@pytest.fixture
def geometry_state():
    network = randomise(GeometryNetwork(geometry_config(variant="released")))
    return _in_released_layout(network, lambda n: names.geometry_name(n, 2), _convolutional)


def _save(tmp_path, **content):
    path = tmp_path / "latest.pt"
    torch.save({"epoch": 3, "optimizer": {"lr": 0.1}, **content}, path)
    return path


def _read_geometry(path):
    return checkpoints.read_released_geometry(path, geometry_config(variant="released"))


def test_geometry_computes_as_released(tmp_path, geometry_state):
    network = _read_geometry(_save(tmp_path, pamir_net=geometry_state))
    image, volume, points = inputs()
    expected = _released_decode(
        geometry_state,
        _released_image_features(geometry_state, image),
        _released_volume_features(geometry_state, volume),
        points,
    )
    assert expected.std() > 0.01
    torch.testing.assert_close(network(image, volume, points), expected[..., 0], rtol=0, atol=1e-5)


def test_texture_computes_as_released(tmp_path):
    config = texture_config()
    config = TextureConfig.from_dict(
        config.to_dict() | {"camera": geometry_config(variant="released").to_dict()["camera"]}
    )
    source = randomise(TextureNetwork(config), seed=5)
    state = _in_released_layout(source, names.texture_name, _convolutional)
    network = checkpoints.read_released_texture(_save(tmp_path, pamir_tex_net=state), config)
    image, volume, points = inputs()
    frozen = torch.rand(1, 12, 16, 16)
    features = torch.cat([_released_texture_features(state, image), frozen], dim=1)
    expected = _released_decode(state, features, _released_volume_features(state, volume), points)
    assert expected.std() > 0.01
    torch.testing.assert_close(network(image, volume, points, frozen), expected, rtol=0, atol=1e-5)


def _graph_state(config=GRAPH_CONFIG):
    network = randomise(GraphCmr(config))
    cnn = {names.graph_cnn_name(n): v.clone() for n, v in network.graph_cnn.state_dict().items()}
    for name, value in cnn.items():
        if name.endswith((".W", ".conv.weight")) and value.ndim == 3:
            cnn[name] = value[:, :, 0].t().clone() if names.is_transposed(name) else value[:, :, 0].clone()
    blocks = config.regressor_blocks
    regressor = {
        names.regressor_name(n, blocks): v.clone() for n, v in network.regressor.state_dict().items()
    }
    return cnn, regressor


def _graph_residual(s, name, x, adjacency):
    def norm(part, y):
        return functional.relu(_norm(s, f"{name}.{part}", y, y.shape[1] // 8))

    y = s[f"{name}.lin1.W"] @ norm("pre_norm", x) + s[f"{name}.lin1.b"][:, None]
    y = adjacency @ (norm("norm1", y).transpose(1, 2) @ s[f"{name}.conv.weight"]) + s[f"{name}.conv.bias"]
    y = s[f"{name}.lin2.W"] @ norm("norm2", y.transpose(1, 2)) + s[f"{name}.lin2.b"][:, None]
    if s[f"{name}.skip_conv.W"].shape[0] != s[f"{name}.skip_conv.W"].shape[1]:
        x = s[f"{name}.skip_conv.W"] @ x + s[f"{name}.skip_conv.b"][:, None]
    return x + y


def test_graphcmr_computes_as_released(tmp_path):
    cnn, regressor = _graph_state()
    path = _save(tmp_path, graph_cnn=cnn, smpl_param_regressor=regressor)
    network = checkpoints.read_released_graphcmr(path, GRAPH_CONFIG)
    image, positions = torch.rand(1, 3, 64, 64), torch.rand(12, 3)
    adjacency = torch.rand(12, 12)
    adjacency /= adjacency.sum(dim=1, keepdim=True)
    with torch.no_grad():
        encoded = network.graph_cnn.resnet(image)
        vertices, camera = network.graph_cnn(image, positions, adjacency.to_sparse())
        rotations, betas = network.regressor(vertices, positions)
    x = torch.cat([positions.t()[None], encoded[:, :, None].expand(-1, -1, 12)], dim=1)
    x = cnn["gc.0.W"] @ x + cnn["gc.0.b"][:, None]
    for i in (1, 2, 3):
        x = _graph_residual(cnn, f"gc.{i}", x, adjacency)
    y = _graph_residual(cnn, "shape.1", _graph_residual(cnn, "shape.0", x, adjacency), adjacency)
    y = cnn["shape.4.W"] @ functional.relu(_norm(cnn, "shape.2", y, 2)) + cnn["shape.4.b"][:, None]
    torch.testing.assert_close(vertices, y.transpose(1, 2), rtol=1e-4, atol=1e-4)
    c = functional.relu(_norm(cnn, "camera_fc.0", x, 2))
    c = functional.relu(cnn["camera_fc.2.W"] @ c + cnn["camera_fc.2.b"][:, None])[:, 0]
    c = c @ cnn["camera_fc.4.weight"].t() + cnn["camera_fc.4.bias"]
    torch.testing.assert_close(camera, c, rtol=1e-4, atol=1e-4)

    def batch_norm(name, v):
        r = regressor
        return functional.batch_norm(
            v, r[f"{name}.running_mean"], r[f"{name}.running_var"], r[f"{name}.weight"], r[f"{name}.bias"]
        )

    def linear(name, v):
        return v @ regressor[f"{name}.weight"].t() + regressor[f"{name}.bias"]

    z = torch.cat([vertices, positions[None]], dim=-1).flatten(1)
    z = functional.relu(batch_norm("layers.0.fc_block.1", linear("layers.0.fc_block.0", z)))
    for i in (1, 2):
        name = f"layers.{i}.fc_block"
        u = functional.relu(batch_norm(f"{name}.1", linear(f"{name}.0", z)))
        z = functional.relu(z + batch_norm(f"{name}.4", linear(f"{name}.3", u)))
    z = linear("layers.3", z)
    torch.testing.assert_close(betas, z[:, 216:], rtol=1e-4, atol=1e-4)
    u, _, v = torch.svd(z[:, :216].view(24, 3, 3))
    expected = u @ v.transpose(1, 2)
    expected = expected * torch.linalg.det(expected)[:, None, None]
    torch.testing.assert_close(rotations[0], expected, rtol=1e-3, atol=1e-3)


def test_regressor_blocks_are_read_off_the_file(tmp_path):
    config = GraphCmrConfig(**{**GRAPH_CONFIG.__dict__, "regressor_blocks": 4})
    cnn, regressor = _graph_state(config)
    path = _save(tmp_path, graph_cnn=cnn, smpl_param_regressor=regressor)
    assert checkpoints.read_released_graphcmr(path, GRAPH_CONFIG).config.regressor_blocks == 4


def test_released_networks_have_the_published_number_of_tensors():
    with torch.device("meta"):
        geometry = GeometryNetwork(GeometryConfig.paper(variant="released")).state_dict()
        texture = TextureNetwork(TextureConfig.paper(variant="released")).state_dict()
        graph = GraphCmr(GraphCmrConfig.released())
        more = GraphCmr(GraphCmrConfig.paper())
    assert len({names.geometry_name(n, 3) for n in geometry}) == 1468
    assert len({names.texture_name(n) for n in texture}) == 142
    assert len({names.graph_cnn_name(n) for n in graph.graph_cnn.state_dict()}) == 444
    assert len({names.regressor_name(n, 2) for n in graph.regressor.state_dict()}) == 37
    assert len({names.regressor_name(n, 4) for n in more.regressor.state_dict()}) == 65


def test_names_at_paper_size():
    assert names.geometry_name("image_encoder.stem2.conv2.weight", 3) == "hg.r4.conv3.weight"
    assert names.geometry_name("image_encoder.stacks.2.post.1.norm2.bias", 3) == "hg.Residual.7.bn2.bias"
    deep = "image_encoder.stacks.3.hourglass.inner.inner.inner.inner.2.conv1.weight"
    assert names.geometry_name(deep, 3) == "hg.hourglass.3.low2.low2.low2.low2_.2.conv1.weight"
    assert names.geometry_name("image_encoder.stacks.0.hourglass.inner.skip.0.norm1.weight", 3) == (
        "hg.hourglass.0.low2.up1_.0.bn.weight"
    )
    assert names.geometry_name("decoder.layers.4.bias", 3) == "mlp.conv4.0.bias"


def test_released_config_takes_the_files_volume_channels(tmp_path):
    with pytest.raises(WeightsError, match="missing or not a 3D convolution"):
        checkpoints.read_released_geometry(_save(tmp_path, pamir_net={"a": torch.zeros(1)}))


def _refused(tmp_path, state, match):
    with pytest.raises(WeightsError, match=match):
        _read_geometry(_save(tmp_path, pamir_net=state))


def test_tensors_that_do_not_fit_are_refused(tmp_path, geometry_state):
    state = copy.copy(geometry_state)
    state.pop("mlp.conv2.0.bias")
    _refused(tmp_path, state, r"1 missing, 0 unknown, for example mlp\.conv2\.0\.bias")
    _refused(tmp_path, geometry_state | {"surprise": torch.zeros(1)}, "0 missing, 1 unknown")
    _refused(
        tmp_path, geometry_state | {"hg.conv1_.bias": torch.zeros(9)}, r"hg\.conv1_\.bias has shape \(9,\)"
    )
    _refused(tmp_path, geometry_state | {"hg.conv1_.bias": torch.full((8,), torch.nan)}, "not numbers")
    _refused(tmp_path, geometry_state | {"hg.conv1_.bias": 3}, "not a tensor")


def test_another_networks_checkpoint_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"no 'pamir_net' \(it holds epoch, optimizer, pamir_tex_net\)"):
        _read_geometry(_save(tmp_path, pamir_tex_net={}))


def test_files_that_are_no_checkpoints_are_refused(tmp_path):
    path = tmp_path / "latest.pt"
    with pytest.raises(WeightsError, match="no such file"):
        _read_geometry(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match=r"latest\.pt"):
        _read_geometry(path)
    torch.save([torch.zeros(1)], path)
    with pytest.raises(WeightsError, match="holds a list"):
        _read_geometry(path)


def test_truncated_checkpoints_are_refused(tmp_path, geometry_state):
    path = _save(tmp_path, pamir_net=geometry_state)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(WeightsError, match="damaged"):
        _read_geometry(path)


def test_too_large_checkpoints_are_refused(tmp_path, geometry_state, monkeypatch):
    monkeypatch.setattr(checkpoints, "MAX_BYTES", 100)
    with pytest.raises(WeightsError, match="more than any released"):
        _read_geometry(_save(tmp_path, pamir_net=geometry_state))


class _Harmful:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("save", [torch.save, lambda o, path: path.write_bytes(pickle.dumps(o))])
def test_code_in_a_checkpoint_is_not_run(tmp_path, save):
    target, path = tmp_path / "was_run", tmp_path / "latest.pt"
    save({"pamir_net": _Harmful(target)}, path)
    with pytest.raises(WeightsError, match="Nothing of it was run"):
        _read_geometry(path)
    assert not target.exists()
