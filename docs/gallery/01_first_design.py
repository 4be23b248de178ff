"""A first design
==============

From a physical size to a trained hybrid network: eight optical kernels on a metasurface of 4 mm,
and a small digital backend, for the 1,797 handwritten digits that come with scikit-learn.
"""

# %%
# A spec states the task, the data and the physical size; what it leaves out has a default. Here the
# default spec is taken, with two settings changed. A file would be read by
# ``hybridonn.read_spec("mine.yaml")``.
import hybridonn

spec = hybridonn.read_spec(settings=["name=digits", "training.epochs=20"])
print(spec.optics.metasurface_width_mm, "mm wide,", spec.student.kernels, "kernels")

# %%
# ``run`` does all stages: layout, estimate, teacher, student, report. Called again it keeps what is
# finished, and with a changed spec it redoes only what the change touches.
results = hybridonn.run(spec, "runs/digits")
for name in ("estimate", "teacher", "student"):
    print(f"{name:9} {results[name]['accuracy']:.1%}")

# %%
# The run folder holds a report, ``runs/digits/report.html``, and the networks. Each kernel is
# made as two sub-optics, its positive and its negative part; the camera's two images are
# subtracted.
import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits

run = hybridonn.load_run("runs/digits")
images = (load_digits().images[:64] * (255 / 16)).round().astype("uint8")
scene = torch.from_numpy(images[:1, None] / 255).float()
(features,) = run.frontend()(scene)
kernels = run.frontend().signed_kernels().detach()

figure, axes = plt.subplots(2, 9, figsize=(10, 2.6), layout="constrained")
axes[0, 0].axis("off")
axes[1, 0].imshow(scene[0, 0], cmap="gray")
axes[1, 0].set_ylabel("scene")
for column in range(8):
    limit = kernels.abs().max()
    axes[0, column + 1].imshow(kernels[column, 0], cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes[1, column + 1].imshow(features[0, column].detach(), cmap="gray")
axes[0, 1].set_ylabel("kernel")
axes[1, 1].set_ylabel("image")
for axis in axes.flat:
    axis.set(xticks=[], yticks=[])

# %%
# ``predict`` takes 8-bit images of the size that the network was trained on.
answer = hybridonn.predict(run, images)
figure, axes = plt.subplots(2, 10, figsize=(10, 2.4), layout="constrained")
for axis, image, name in zip(axes.flat, images, answer.names, strict=False):
    axis.imshow(image, cmap="gray")
    axis.set_title(name, fontsize=10)
    axis.axis("off")
