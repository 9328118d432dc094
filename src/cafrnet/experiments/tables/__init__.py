"""The tables of a reproduction: one file per table, each from scores to a :class:`~.table.Table`."""
