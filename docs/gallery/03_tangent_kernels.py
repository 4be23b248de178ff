r"""Tangent kernels of your own network
===================================

``hybridonn.tangent.ntk`` computes the empirical neural tangent kernel of any PyTorch model,

.. math:: \Theta_{ij} = \sum_c \left\langle \frac{\partial f_c(x_i)}{\partial \theta},
          \frac{\partial f_c(x_j)}{\partial \theta} \right\rangle,

layer by layer, exactly, without a Jacobian. Here it is compared with ``torch.func``, which forms
one.
"""

# %%
# Any module whose inputs and outputs lead with the samples:
import time

import torch
from sklearn.datasets import load_digits
from torch import nn

from hybridonn.tangent import explain, ntk

torch.manual_seed(0)
model = nn.Sequential(
    *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Flatten(), nn.Linear(128, 10)),
).eval()
digits = load_digits()
order = digits.target[:100].argsort(kind="stable")
x = torch.from_numpy(digits.images[:100][order] / 16).float()[:, None]

kernel = ntk(model, x).detach()  # the first call may compile sums over pooled maxima
start = time.process_time()
kernel = ntk(model, x).detach()
own_seconds = time.process_time() - start
print(explain(model, x))

# %%
# The same by ``torch.func``: the Jacobian of every sample, (100, 10, parameters), and its products.
from torch.func import functional_call, jacrev, vmap

weights = dict(model.named_parameters())


def answer(weights, one):
    """The outputs of one image."""
    return functional_call(model, weights, (one[None],))[0]


start = time.process_time()
jacobian = vmap(jacrev(answer), (None, 0))(weights, x)
rows = torch.cat([part.flatten(2) for part in jacobian.values()], 2).flatten(1)
reference = (rows @ rows.T).detach()
func_seconds = time.process_time() - start

error = (kernel - reference).norm() / reference.norm()
print(f"relative difference {error:.1e}")
print(f"ntk {own_seconds * 1e3:.0f} ms, torch.func {func_seconds * 1e3:.0f} ms of processor time")
assert error < 1e-5

# %%
# Images are sorted by class: the blocks on the diagonal show that even an untrained network tells
# digits of one class alike. The eigenvalues say in how many directions it learns quickly.
import matplotlib.pyplot as plt

from hybridonn.tangent import centre

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
figure.colorbar(left.imshow(kernel, cmap="magma"), ax=left)
left.set(title="tangent kernel, images by class", xlabel="image", ylabel="image")
eigenvalues = torch.linalg.eigvalsh(centre(kernel.double())).flip(0)[:-1]
right.semilogy(eigenvalues, "o-", markersize=3)
right.set(title="eigenvalues of the centred kernel", xlabel="number")
right.grid(alpha=0.3)
