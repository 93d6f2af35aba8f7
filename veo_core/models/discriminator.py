"""The discriminator of pictures: which patches are true and which an autoencoder rebuilt."""

import contextlib
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F


class PatchDiscriminator(nn.Module):
    """Pictures [b, 3, t, h, w] in [-1, 1] to a logit for each patch, [b, 1, t, h / 4, w / 4].

    As in PatchGAN (Isola et al., 1611.07004), over space and time: a patch is 10 x 10 pixels in five frames,
    so that it judges texture, edges and flicker, and not what the picture shows.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv3d(3, width, (3, 4, 4), (1, 2, 2), padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv3d(width, 2 * width, (3, 4, 4), (1, 2, 2), padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv3d(2 * width, 1, 1),
        )

    def forward(self, video: Tensor) -> Tensor:
        logits: Tensor = self.layers(video)
        return logits.float()

    def hinge_losses(self, true: Tensor, rebuilt: Tensor) -> tuple[Tensor, Tensor]:
        """The autoencoder's loss and the discriminator's own: Lim and Ye, "Geometric GAN" (1705.02894).

        The first has gradients for what made `rebuilt` alone, the second for the discriminator alone, so
        that both are learnt in one backward pass.
        """
        with self._frozen():
            fooling = -self(rebuilt).mean()
        telling = F.relu(1.0 - self(true)).mean() + F.relu(1.0 + self(rebuilt.detach())).mean()
        return fooling, telling

    @contextlib.contextmanager
    def _frozen(self) -> Iterator[None]:
        self.requires_grad_(False)
        try:
            yield
        finally:
            self.requires_grad_(True)
