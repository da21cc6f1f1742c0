"""Which pairs of a super-batch a training step learns from."""
