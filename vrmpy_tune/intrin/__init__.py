"""Tensorization rules: each HVX multiply is one row of a table.

:data:`~vrmpy_tune.intrin.table.TABLE` lists the instruction forms; :mod:`.rules` writes the
TVMScript of a row; :func:`~vrmpy_tune.intrin.registry.register` makes every row known to TVM.
"""
