"""What `choreo doctor` says of good and of bad deployments."""
