"""Properties of materials from many evaluations of a model: what the commands ``eos``, ``elastic``, ... compute.

Each module makes structures, has them computed together, and looks at the results; each of these steps can be used
alone, with results from elsewhere.
"""
