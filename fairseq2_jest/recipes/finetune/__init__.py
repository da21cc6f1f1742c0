"""`fairseq2 mt finetune`: fine-tune a translation model on what a batch selector chooses."""
