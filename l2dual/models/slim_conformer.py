"""A Conformer whose subsampling has fewer channels, for training without a GPU."""

import torch
from espnet2.asr.encoder.conformer_encoder import ConformerEncoder


class SlimConformerEncoder(ConformerEncoder):
    """ESPnet's Conformer with ``subsampling_channels`` in its two convolutions over the input.

    ESPnet ties their number to the width of the encoder; on a CPU they then take longer than
    the encoder itself.

    Args:
        input_size: features per frame.
        output_size: width of the encoder.
        subsampling_channels: of both convolutions, which subsample by 4.
        conf: ESPnet's other options, but for ``input_layer``.
    """

    def __init__(
        self, input_size: int, output_size: int = 256, subsampling_channels: int = 32, **conf
    ):
        super().__init__(input_size, output_size, input_layer="conv2d", **conf)
        channels = subsampling_channels
        bands = ((input_size - 1) // 2 - 1) // 2
        self.embed.conv = torch.nn.Sequential(
            torch.nn.Conv2d(1, channels, 3, 2),
            torch.nn.ReLU(inplace=True),
            torch.nn.Conv2d(channels, channels, 3, 2),
            torch.nn.ReLU(inplace=True),
        )
        self.embed.out = torch.nn.Linear(channels * bands, output_size)
