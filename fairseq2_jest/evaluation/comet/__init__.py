"""COMET, in a process of its own: it cannot share fairseq2's environment by plain pip."""
