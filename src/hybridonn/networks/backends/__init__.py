"""Digital backends: from the branches of a frontend to the outputs of the task.

Contract: ``Backend(branches) -> outputs``, a tuple of branches from fine to coarse, each
(B, K_b, H', W') signed; outputs as the task wants them, such as logits (B, classes) of an image
or (B, classes, H, W) of its pixels.
"""
