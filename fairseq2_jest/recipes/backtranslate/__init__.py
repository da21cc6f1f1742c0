"""`fairseq2 mt backtranslate`."""
