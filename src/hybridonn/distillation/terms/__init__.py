"""The loss terms: a file each, each a function of a :class:`~hybridonn.distillation.step.Step`."""
