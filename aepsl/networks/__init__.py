"""Networks and pretrained weights; every network takes RGB images, 0..255."""
