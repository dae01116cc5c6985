"""Adversarial erasing: Algorithm 1 of the paper, as functions on arrays and tensors."""
