"""The sandbox: the vendors in a box, for the demo, the tests and the benchmark. Nothing in production imports it."""
