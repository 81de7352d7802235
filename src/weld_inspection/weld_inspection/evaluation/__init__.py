"""The paper's metrics and the scoring of events."""
