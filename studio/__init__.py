"""One browser application for texts, videos and numbers: the review of `descriptor_gen`, the runs of `recognizer`."""
