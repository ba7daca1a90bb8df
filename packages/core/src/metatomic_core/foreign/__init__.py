"""Models of other programs as ours, and ours as theirs; the functions behind ``metatomic convert``.

`reference_files` reads files of metatomic-torch, `imported` wraps the models in them, `exported` writes our models as
such files.  `nequip_package` runs what nequip has compiled, with `nequip_files` for what such a file says,
`nequip_graphs` for how it is called, and `nequip_check` for what is tried first.  Nothing here is imported unless a
file in another format is read or written.
"""
