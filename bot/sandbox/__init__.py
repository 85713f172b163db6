"""The sandbox: the vendors in a box, for the demo, the tests and the benchmark.

Nothing in production imports it.

- `channel`: what it must know of a configured channel
- `letters`: the inner XML of every message and event; `answers`: reading what the bot answers
- `wire`: encrypting, signing and opening, through wechatpy, the independent implementation
- `post`, `courier`: real HTTP, repeats, what the vendor makes of an answer
- `room`: what is remembered of one channel; `limits`: how much a person may be sent
- `vendor`: `Sandbox`, the front door: say, event, inbox
- `cgi_bin`, `sends`, `tokens`, `faults`: the API that the bot calls, with its errors on demand
- `page`, `guard`: the chat page and its JSON interface; loopback only
- `server`, `forward`: mounted, stand-alone, or reached through a worker process
- `remote`, `terminal`: the same from another process, and as a chat in the terminal
"""
