"""SageMaker on one machine: Processing and Training jobs as processes, with the real API, folders and events."""
