"""What could not go in the HTTP answer goes from here: paced, retried, listed."""
