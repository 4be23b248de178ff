"""Digital backends: from feature maps to the outputs of the task."""
