"""The SageMaker contract that all containers share: folders, environment, progress, result, failure."""

__version__ = "0.1.0"
