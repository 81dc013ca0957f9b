"""A stored run as one page: classes, confusions, videos, texts."""
