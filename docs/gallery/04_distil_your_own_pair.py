"""Distil your own pair of networks
================================

The parts of neural tangent knowledge distillation in a training loop of your own: a student learns
from few labels, with the logits (KD) or with the tangent kernel too (NTKD) of a teacher.
"""

# %%
# A teacher that has seen 1,200 digits, and 60 of them for the student.
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from hybridonn.tangent import centred_alignment, ntk, record

digits = load_digits()
images = torch.from_numpy(digits.images / 16).float()[:, None]
labels = torch.from_numpy(digits.target).long()
few = torch.arange(60)
test_images, test_labels = images[1200:], labels[1200:]


def make_teacher():
    """A network of two convolutions."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(128, 10)),
    )


def make_student():
    """Four kernels, which optics can take, and a dense backend."""
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 5, padding=2, bias=False), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)),
    )


def score(network):
    """Share of the test images that are told right."""
    with torch.no_grad():
        return (network(test_images).argmax(1) == test_labels).float().mean().item()


torch.manual_seed(0)
teacher = make_teacher()
optimizer = torch.optim.Adam(teacher.parameters(), 3e-3)
for _epoch in range(12):
    for batch in torch.randperm(1200).split(100):
        optimizer.zero_grad()
        cross_entropy(teacher(images[batch]), labels[batch]).backward()
        optimizer.step()
teacher.eval()
print(f"teacher {score(teacher):.1%}")

# %%
# What the student is told, computed once: the teacher's logits and its tangent kernel.
with torch.no_grad():
    teacher_logits = teacher(images[few])
teacher_kernel = ntk(teacher, images[few]).detach()


# %%
# ``record`` watches the forward pass of a training step, so that the student's kernel (of its last
# layer) costs no second pass and carries a gradient.
def train(kd_weight, ntk_weight, seed, epochs=150):
    """Train a student on all of the few images; return its accuracy and its alignment."""
    torch.manual_seed(seed)
    student = make_student()
    optimizer = torch.optim.Adam(student.parameters(), 3e-3)
    aligned = []
    for _epoch in range(epochs):
        with record(student, layers="last") as trace:
            logits = student(images[few])
        alignment = centred_alignment(trace.kernel(logits), teacher_kernel)
        soft = kl_div(
            log_softmax(logits / 4, 1), softmax(teacher_logits / 4, 1), reduction="batchmean"
        )
        loss = cross_entropy(logits, labels[few]) + kd_weight * 16 * soft
        loss = loss + ntk_weight * (1 - alignment)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        aligned.append(alignment.item())
    return score(student), aligned


METHODS = {"task alone": (0, 0), "KD": (1, 0), "NTKD": (1, 10)}
found = {name: [train(*weights, seed) for seed in range(3)] for name, weights in METHODS.items()}
for name, runs in found.items():
    print(f"{name:10}", " ".join(f"{accuracy:.1%}" for accuracy, _ in runs))

# %%
# Three seeds are paired: each method starts from the same weights. So few images and seeds show how
# the parts fit together; what the methods are worth is measured in the :doc:`results </results>`.
import matplotlib.pyplot as plt

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for position, (name, runs) in enumerate(found.items()):
    left.plot([position] * 3, [100 * accuracy for accuracy, _ in runs], "o", color=f"C{position}")
    right.plot(runs[0][1], color=f"C{position}", label=name)
left.set(xticks=range(3), xticklabels=METHODS, ylabel="test accuracy in %", xlim=(-0.5, 2.5))
right.set(xlabel="epoch", ylabel="alignment with the teacher's kernel")
right.legend()
