"""Kafka: the log on a cluster, its topics, and the embedded broker."""

from choreo.kafka.embedded import EmbeddedBroker
from choreo.kafka.log import KafkaLog
from choreo.kafka.topics import create_topics, describe_topics

__all__ = ["EmbeddedBroker", "KafkaLog", "create_topics", "describe_topics"]
