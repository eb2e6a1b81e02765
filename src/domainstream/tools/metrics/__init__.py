"""Metrics for Prometheus: what a program knows of itself, and what an exporter finds on the servers."""
