"""The numbers, each against the same work done straight, in the same run: `make bench`."""
