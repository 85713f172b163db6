"""The sandbox: the vendors in a box, for the demo, the tests and the benchmark.

Nothing in production imports it. Its codecs are its own, its cryptography is wechatpy's.

What people do:

- `channel`: what it must know of a configured channel
- `vendor`: `Sandbox`, the front door: say, event, click, feedback, transcript, wait_for
- `room`: what is remembered of one channel: people, groups, lines, counts, limits exceeded
- `letters`, `bot_letters`, `bot_writing`: inner XML and JSON of every message and event
- `answers`, `bot_answers`, `cards`: reading and checking what the bot answers
- `bot_desk`: interactions, streams and response addresses of one AI bot

How it travels:

- `wire`: encrypting, signing and opening, through wechatpy, the independent implementation
- `post`, `courier`, `bot_courier`: real HTTP, repeats, polls, what the vendor makes of an answer
- `connection`, `connection_calls`: the AI bot's long connection and what is said through it

What the bot calls:

- `cgi_bin`, `vendor_call`: the API, with its errors; `tokens`: access tokens
- `sends`, `app_groups`, `robot`, `bot_calls`, `uploads`, `media`: its endpoints
- `limits`: every documented rate; `faults`: what goes wrong on demand; `vendor_clock`: a clock that moves

Faces:

- `server`, `root`, `forward`, `guard`: mounted, stand-alone, or reached through a worker; loopback only
- `page`, `mishaps`: the chat page and its JSON interface
- `remote`, `stage`, `terminal`, `scenario`, `player`: the same from another process, as a chat, as a play
"""
