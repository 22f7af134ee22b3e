"""A Conformer whose subsampling has fewer channels, for training without a GPU."""

import torch
from espnet2.asr.encoder.conformer_encoder import ConformerEncoder

from l2dual.errors import UsageError

INPUT_LAYERS = {4: "conv2d", 6: "conv2d6"}  # ESPnet's names of two convolutions that subsample so


class SlimConformerEncoder(ConformerEncoder):
    """ESPnet's Conformer with ``subsampling_channels`` in its two convolutions over the input.

    ESPnet ties their number to the width of the encoder; on a CPU they then take longer than
    the encoder itself.

    Args:
        input_size: features per frame.
        output_size: width of the encoder.
        subsampling_channels: of both convolutions.
        subsampling: features' frames per frame of the encoder, 4 or 6.
        conf: ESPnet's other options, but for ``input_layer``.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int = 256,
        subsampling_channels: int = 32,
        subsampling: int = 4,
        **conf,
    ):
        if subsampling not in INPUT_LAYERS:
            raise UsageError(f"encoder_conf: subsampling {subsampling}: use 4 or 6")
        super().__init__(input_size, output_size, input_layer=INPUT_LAYERS[subsampling], **conf)
        channels, bands, narrow = 1, input_size, []
        for layer in self.embed.conv:
            if isinstance(layer, torch.nn.Conv2d):
                (size, _), (stride, _) = layer.kernel_size, layer.stride
                layer = torch.nn.Conv2d(channels, subsampling_channels, size, stride)
                channels, bands = subsampling_channels, (bands - size) // stride + 1
            narrow.append(layer)
        self.embed.conv = torch.nn.Sequential(*narrow)
        self.embed.out = torch.nn.Linear(channels * bands, output_size)
