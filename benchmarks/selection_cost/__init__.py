"""The share of a training step that goes into selecting."""
