"""From plain tensors to systems, through the model, and back: all that is scripted or traced, and nothing else.

Signs, strain, sums over pairs and unit factors of results occur here and nowhere else.
"""
