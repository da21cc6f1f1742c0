"""Translation models of Hugging Face in and out: mBART and NLLB (M2M100's layout)."""
