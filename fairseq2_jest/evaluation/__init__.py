"""How good translations are: sacrebleu, COMET, and whether a difference is chance."""
