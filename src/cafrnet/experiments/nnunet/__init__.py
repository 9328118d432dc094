"""The real nnU-Net as a row of its own: our split out, its own plan, training and prediction, its maps back.

Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation",
Nature Methods 2021, doi:10.1038/s41592-020-01008-z. The package ``nnunetv2`` (Apache-2.0) runs in an
environment of its own, in processes of its own: nothing of it is imported here.

Not to be mixed up with the row ``nnunet``, which is nnU-Net's plain network under our protocol.

::

    settings.py   what a user may want otherwise
    raw.py        a dataset as nnU-Net wants it, our folds as its splits
    package.py    its environment: what is installed there, calling its commands, what they say when they fail
    inside.py     a script that the environment's Python runs: what nnU-Net planned and trained, as JSON
    back.py       its label maps on the scans' own grids
    record.py     what a fold took: fit.json
    bridge.py     the stages of a fold, each skipped when it is done
    row.py        the row of Table 3
"""
