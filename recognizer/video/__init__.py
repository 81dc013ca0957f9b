"""Video files and folders of frames: choose frames, and read their pixels."""
