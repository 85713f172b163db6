"""`run.py doctor`: looks at a deployment from outside in, and names cause and cure of what it finds.

- `findings`: what a finding is, and the words of all of them
- `probe`: one bounded HTTP call, with what its answer tells of the other side's clock
- `handshake`: our own callback address, asked as the platform asks it
- `channels`: credentials, permissions, trusted addresses, keys, the long connection
- `stores`: Redis and its persistence, SQL, deliveries that died
- `examination`: the order of it all, and the report
"""
