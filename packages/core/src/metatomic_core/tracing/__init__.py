"""Models as exported programs: a model, and the backward pass through it, traced to one graph of plain tensors.

`stand_ins` takes the place of metatensor's classes while a model is traced, `seam` is the function that is traced,
`graph` how it is traced and which graphs are refused, `apart` the process it happens in, and `program` what comes out:
a record for the header of a model file, and the content of an entry in it.
"""
