"""What `recognize doctor` finds out: what this machine has for the two programs, and how to get what it lacks.

Every check works where packages, weights, database and embeddings are missing or broken; it changes nothing.
"""
