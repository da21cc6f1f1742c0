"""`fairseq2 mt embed`: fill the reference-embedding store of a corpus ahead of time."""
