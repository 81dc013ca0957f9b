"""Datasets: find the videos of a dataset and their classes in a folder, and check them."""
