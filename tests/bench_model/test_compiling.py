"""How the bench counts compilations."""

import torch

from benchmarks.model.compiling import compilations


def test_each_shape_is_a_compilation_and_passes_without_gradients_are_none():
    layer = torch.nn.Linear(3, 3)
    with compilations() as found:
        forward = torch.compile(layer.forward, backend="eager", fullgraph=True, dynamic=False)
        for count in (2, 2, 4, 2):
            forward(torch.ones(count, 3)).sum().backward()
        with torch.no_grad():
            forward(torch.ones(2, 3))
    assert len(found) == 2
    torch._dynamo.reset()
    torch.compile(layer.forward, backend="eager")(torch.ones(2, 3))
    assert len(found) == 2
