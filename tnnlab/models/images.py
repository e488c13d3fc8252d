"""A classifier of grey images, whose pixels or patches are the positions."""

import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab.models.config import ImageConfig
from tnnlab.models.pooling import POOLINGS
from tnnlab.models.trunk import Trunk


class ImageClassifier(Trunk):
    """One answer for an image of any size: a linear map of each pixel or patch, blocks that mix
    along both axes or along one line of pixels, pooling, a linear map.

    Args:
        config: the model's shape.

    >>> config = ImageConfig(depth=1, width=16, glu_width=16, classes=10)
    >>> import torch
    >>> ImageClassifier(config)(torch.rand(2, 8, 8)).shape
    torch.Size([2, 10])
    """

    config_class = ImageConfig
    config: ImageConfig

    def __init__(self, config: ImageConfig) -> None:
        embedding = nn.Linear(config.patch**2, config.width)
        super().__init__(
            config, embedding, causal=config.causal, axes=config.axes, sinusoids=config.sinusoids
        )
        self.head = nn.Linear(config.width, config.classes)

    def forward(self, images: Tensor) -> Tensor:
        """Scores: grey levels ``(batch, height, width)`` to ``(batch, classes)``.

        Raises:
            ValueError: another shape, or sides that are not whole patches.
        """
        patch = self.config.patch
        if images.ndim != 3 or any(size < 1 or size % patch for size in images.shape[1:]):
            raise ValueError(
                "images is a tensor (batch, height, width), its sides multiples of "
                f"patch = {patch}; got {tuple(images.shape)}"
            )
        x = self.embedding(F.pixel_unshuffle(images.unsqueeze(1), patch).permute(0, 2, 3, 1))
        x = self.mix(x if self.config.axes == 2 else x.flatten(1, 2))
        return self.head(POOLINGS[self.config.pooling](x.flatten(1, -2), None))
