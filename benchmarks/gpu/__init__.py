"""The trainer on a CUDA GPU: the same pictures as on the CPU, and beside gsplat's own strategies."""
