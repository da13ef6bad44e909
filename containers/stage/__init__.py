"""The SageMaker contract that the three containers share: folders, environment, progress, result, failure."""
