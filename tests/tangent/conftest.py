"""The reference: kernels from the dense float64 Jacobian of torch.func."""

import pytest
import torch


def jacobian(model, x):
    parameters = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}

    def outputs(values):
        return torch.func.functional_call(model, values, (x,)).flatten(1)

    found = torch.func.jacrev(outputs)(parameters)
    return torch.cat([value.flatten(2) for value in found.values()], -1)


def kernel(model, x1, x2=None, outputs="contracted"):
    a = jacobian(model, x1)
    b = a if x2 is None else jacobian(model, x2)
    equation = "icp,jcp->ij" if outputs == "contracted" else "icp,jdp->ijcd"
    return torch.einsum(equation, a, b)


@pytest.fixture
def dense_kernel():
    return kernel
