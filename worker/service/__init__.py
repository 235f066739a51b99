"""The warm service: tasks taken from an SQS queue."""
