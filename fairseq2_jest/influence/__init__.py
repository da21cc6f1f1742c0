"""G-DIG: per-example gradients, curvature, influence on trusted seeds, and gradient clusters."""
