"""The datasets: which videos a folder holds, of which class, and what is wrong with them."""
