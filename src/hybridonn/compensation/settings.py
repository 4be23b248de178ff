"""The settings of a compensation, and those of each method that it compares."""

from __future__ import annotations

from hybridonn.core.errors import SpecError
from hybridonn.distillation.methods import needs_labels
from hybridonn.spec import Compensation, Method, Spec
from hybridonn.spec.training import check_weights


def stated_compensation(spec: Spec) -> Compensation:
    """The compensation that a spec states.

    Raises:
        SpecError: It states none, or one that cannot be.
    """
    settings = spec.compensation
    if settings is None:
        raise SpecError("compensation is not set; set it to {} for the defaults")
    alone = list(filter(needs_labels, settings.trained))
    if not settings.labelled and alone:
        raise SpecError(
            f"compensation.labelled is false, but method {alone[0]} learns from labels alone; "
            f"leave {alone[0]} out of compensation.methods and choose kd or ntkd"
        )
    if any(settings.training.augmentation.model_dump(exclude_defaults=True)):
        raise SpecError(
            "compensation.training.augmentation is set, but captures cannot be changed after "
            "they were taken; leave it out"
        )
    for method in settings.trained:
        try:
            check_weights(settings_for(spec, settings, method).distillation)
        except ValueError as error:
            unlabelled = "" if settings.labelled else ", whose task has no weight without labels"
            raise SpecError(f"compensation.distillation{unlabelled}: {error}") from None
    return settings


def settings_for(spec: Spec, settings: Compensation, method: Method) -> Spec:
    """The spec whose training and distillation are those of one method's fine-tuning.

    Args:
        spec: The spec of the run.
        settings: With ``tuned``; without labels the task has no weight.
        method: Which.
    """
    stated = {name: getattr(settings, name) for name in ("distillation", "training", "tuned")}
    own = spec.model_copy(update=stated).for_method(method)
    if settings.labelled:
        return own
    unlabelled = own.distillation.model_copy(update={"task_weight": 0.0})
    return own.model_copy(update={"distillation": unlabelled})
