"""A trained network in use: on new photographs, in Python, in other programs."""
