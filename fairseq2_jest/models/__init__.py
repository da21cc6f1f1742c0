"""Models and tokenizers that fairseq2 does not bring along."""
