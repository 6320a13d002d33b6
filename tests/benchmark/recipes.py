"""The fine-tuning recipes of accuracy.py (mpibert) and accuracy_trainer.py (Hugging Face): one place, so that both do the same.

All: AdamW without decay, norms clipped at 1, a rate that rises for warmup_ratio of the steps and falls linearly to 0, batches of whole sequences. Scores are those of `split` after the last step, under mpibert's names. nli learns from the counterfactually augmented pairs
(cad_nli_train.tsv) and is scored on SNLI's test set; squad learns from the first 12 articles of the training set (train-v1.1.first12.json.gz).
"""

RECIPES = {
    "mrpc": dict(epochs=3, batch=16, rate=5e-5, warmup_ratio=0.0, max_seq_length=128, split="dev", scores=["accuracy", "f1"]),
    "sst2": dict(epochs=1, batch=32, rate=5e-5, warmup_ratio=0.0, max_seq_length=128, split="dev", scores=["accuracy"]),
    "nli": dict(epochs=2, batch=32, rate=5e-5, warmup_ratio=0.1, max_seq_length=128, split="test", scores=["accuracy"]),
    "sick": dict(epochs=2, batch=32, rate=5e-5, warmup_ratio=0.1, max_seq_length=128, split="test", scores=["accuracy"]),
    "sick-relatedness": dict(epochs=2, batch=32, rate=5e-5, warmup_ratio=0.1, max_seq_length=128, split="test", scores=["pearson", "spearmanr"]),
    "ner": dict(epochs=3, batch=16, rate=1e-4, warmup_ratio=0.1, max_seq_length=128, split="test", scores=["f1", "precision", "recall"]),
    "squad": dict(epochs=1, batch=16, rate=1e-4, warmup_ratio=0.1, max_seq_length=384, split="dev", scores=["exact_match", "f1"]),
}
