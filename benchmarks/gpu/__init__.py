"""Benchmarks of the trainer on a CUDA GPU: parity with the CPU, and comparison with gsplat's own strategies."""
