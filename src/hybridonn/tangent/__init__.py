"""Neural tangent kernels, empirical and of infinite width, and their alignment."""
