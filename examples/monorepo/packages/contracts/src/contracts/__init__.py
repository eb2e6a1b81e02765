"""What all services agree on: channels, who subscribes to them, queues and job names."""
