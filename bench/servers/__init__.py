"""The programs the product is compared with; each prints ``ready http://…`` when it listens."""
