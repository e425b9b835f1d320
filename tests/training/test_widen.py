"""A trained network with new parts computes what it computed before."""

from dataclasses import replace

import torch

from pamir_blender.pamir.config import GeometryConfig
from pamir_blender.pamir.geometry import GeometryNetwork
from pamir_blender.training.widen import with_context, with_fusion


def test_context_changes_nothing_until_it_is_trained():
    config = GeometryConfig.lite()
    config = replace(config, volume=replace(config.volume, resolution=32, context=()))
    torch.manual_seed(0)
    network = GeometryNetwork(config).eval()
    wider = with_context(network, (16, 16)).eval()
    assert wider.config.volume.context == (16, 16) and with_context(wider, (8,)) is wider
    assert with_context(network, ()) is network
    given = (torch.rand(1, 4, 256, 256), torch.rand(1, 1, 32, 32, 32), torch.rand(1, 50, 3) - 0.5)
    with torch.no_grad():
        assert torch.equal(network(*given), wider(*given))
        wider.volume_encoder.context.out.weight.fill_(0.1)
        assert not torch.equal(network(*given), wider(*given))


def test_fusion_changes_nothing_until_it_is_trained():
    config = GeometryConfig.lite()
    config = replace(config, volume=replace(config.volume, resolution=32), fusion=())
    torch.manual_seed(0)
    network = GeometryNetwork(config).eval()
    wider = with_fusion(network, (16, 16)).eval()
    assert wider.config.fusion == (16, 16) and with_fusion(wider, (8,)) is wider
    assert with_fusion(network, ()) is network
    given = (torch.rand(1, 4, 256, 256), torch.rand(1, 1, 32, 32, 32), torch.rand(1, 50, 3) - 0.5)
    with torch.no_grad():
        assert torch.equal(network(*given), wider(*given))
        wider.fusion.out.weight.normal_()
        assert not torch.equal(network(*given), wider(*given))
