"""The empirical tangent kernel of a network: `kernel` derives and computes it."""
