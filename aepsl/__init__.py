"""Weakly-supervised semantic segmentation from image labels (AE-PSL, Wei et al., CVPR 2017)."""

__version__ = "0.1.0"
