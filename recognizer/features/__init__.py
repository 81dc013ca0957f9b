"""The feature store: embeddings of videos and texts, made once and kept."""
