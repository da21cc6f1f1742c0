"""`fairseq2 mt select`: choose the pairs of a pool whose gradients help trusted seeds (G-DIG)."""
