"""Estimate before training
========================

What accuracy can a metasurface of a given size reach? Kernel regression with the tangent kernel of
the design answers in about a second, before anything is trained. Here the number of kernels that
find room is weighed against the side of the metasurface.
"""

# %%
# Each kernel takes two sites: light is never negative, so its positive and its negative part are
# sub-optics of their own. A square of n x n sites holds n x n / 2 kernels.
import hybridonn

SITE_MM, GAP_MM = 0.938, 0.05
found = []
for across in (2, 3, 4):
    side_mm = across * SITE_MM + (across - 1) * GAP_MM + 0.1
    kernels = across * across // 2
    spec = hybridonn.read_spec(
        settings=[
            f"name=side-{across}",
            f"optics.metasurface_width_mm={side_mm}",
            f"optics.metasurface_height_mm={side_mm}",
            f"student.kernels={kernels}",
            "student.kernel_size=3",
            "student.pooled_size=2",
            "estimate.draws=2",
            "estimate.train_images=600",
        ]
    )
    estimate = hybridonn.estimate(spec, f"runs/side-{across}")["estimate"]
    found.append((side_mm, kernels, estimate["accuracy"], estimate["uncertainty"]))
    print(f"{side_mm:.2f} mm: {kernels} kernels, {estimate['accuracy']:.1%}")

# %%
# The bars are the standard errors that the estimate states of itself.
import matplotlib.pyplot as plt

sides, counts, accuracies, errors = zip(*found, strict=True)
figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
axis.errorbar(sides, [100 * a for a in accuracies], [100 * e for e in errors], fmt="o-", capsize=3)
for side, count, accuracy in zip(sides, counts, accuracies, strict=True):
    axis.annotate(f"{count} kernels", (side, 100 * accuracy), (6, -14), textcoords="offset points")
axis.set(xlabel="side of the metasurface in mm", ylabel="estimated accuracy in %")
axis.grid(alpha=0.3)

# %%
# The estimate is of what the design can reach, not of what a training reaches; how well it ranks
# designs is told in the :doc:`results </results>`.
