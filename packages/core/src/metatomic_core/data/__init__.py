"""What crosses the border between models and engines: systems, requests, outputs, capabilities, metadata, quantities.

The classes are plain Python, compiled with TorchScript; names of their attributes are file format.
"""
