"""Batches that are too small to compare the tangent kernels of two networks on them."""

from __future__ import annotations

from collections.abc import Iterable

from hybridonn.distillation.discrepancies import DISCREPANCIES
from hybridonn.distillation.methods import needs_kernel
from hybridonn.spec.training import Distillation, Training


def check_batches(
    training: Training,
    distillation: Distillation,
    methods: Iterable[str],
    where: str = "",
    count: int | None = None,
    what: str = "images",
) -> None:
    """Refuse batches that are too small for the discrepancy of two kernels.

    Args:
        training: Its batches.
        distillation: Its discrepancy.
        methods: The methods that are trained.
        where: What the keys begin with in the spec.
        count: How many images there are. None: enough for a batch.
        what: What these images are called.

    Raises:
        ValueError: The kernels would be of fewer samples than can differ in that discrepancy.
    """
    tangent = distillation.tangent
    # An epoch's last batch may have half as many images as the others.
    smallest = (training.batch_size + 1) // 2
    available = smallest if count is None else min(smallest, count)
    least = DISCREPANCIES[tangent.compared_by].least_samples
    found = tangent.count_samples(available)
    trained = [one for one in dict.fromkeys(methods) if needs_kernel(one)]
    if not trained or found >= least:
        return
    if available < smallest:
        cause, cure = f"there are {count} {what}", "get more of them"
    elif found < smallest:
        cause = f"{where}distillation.tangent.images is {tangent.images}"
        cure = f"set it to {least} or more"
    else:
        cause = f"{where}training.batch_size is {training.batch_size}"
        cure = f"set it to {2 * least - 1} or more"
    unit = "pixels" if tangent.contraction == "pixels" else "images"
    raise ValueError(
        f"{where}distillation.tangent.discrepancy: {tangent.compared_by} compares kernels of at "
        f"least {least} {unit}, but {cause}, so that some batches compare {found}; {cure}, or "
        f"train without {' and '.join(trained)}"
    )
