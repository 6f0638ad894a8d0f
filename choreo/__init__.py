"""choreo: sagas by choreography over Kafka."""

__version__ = "0.1.0"
