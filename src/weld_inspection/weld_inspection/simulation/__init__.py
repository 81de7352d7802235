"""The simulated weld: a rendered seam with planted defects, and a camera that travels along it."""
