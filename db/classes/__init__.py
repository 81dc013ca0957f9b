"""Tables of class names, in the label order of each dataset."""
