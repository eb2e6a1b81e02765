"""The contracts between all services: channels, subscriptions, queues and job names."""
