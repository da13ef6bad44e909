"""The SageMaker contract that the three containers share: folders, environment, progress, result, failure."""

__version__ = "0.1.0"
