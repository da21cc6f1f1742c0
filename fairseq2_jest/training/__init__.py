"""Training and validation of a translation model within fairseq2's trainer."""
