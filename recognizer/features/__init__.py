"""The feature store: embeddings of videos and texts, computed once."""
