"""Brokers for the tests: a real Apache Kafka, and one way to speak to it, the mock and the memory."""
