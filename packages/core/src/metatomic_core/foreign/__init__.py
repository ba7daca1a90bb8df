"""Models of other programs as ours, and ours as theirs; the functions behind ``metatomic convert``.

`reference_files` reads files of metatomic-torch, `imported` wraps the models in them, `exported` writes our models as
such files.  Nothing here is imported unless such a file is read or written.
"""
