"""recognize: classify videos by text, without any training."""
