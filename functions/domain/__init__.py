"""The domain that the Lambda functions share: jobs, stages, status events, errors. No handler, no AWS event here."""
