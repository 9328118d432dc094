"""The other wing: everything that imports PyTorch. The runtime never imports it."""

from ..errors import MissingExtraError

try:
    import lightning  # noqa: F401
    import monai  # noqa: F401
    import torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError("this part, which is built on PyTorch,", "train") from error
