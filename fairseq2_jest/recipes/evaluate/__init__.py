"""`fairseq2 mt evaluate`: score translations, and test whether systems differ."""
