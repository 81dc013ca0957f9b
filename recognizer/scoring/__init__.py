"""Texts and video embeddings to scores: protocols, text ensembles, methods, attribution, metrics."""
