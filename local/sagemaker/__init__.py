"""SageMaker on one machine: processing and training jobs run as processes, with the real API, folders and events."""
