-- Keep what a handler has to show so far of an answer it still works at.
-- KEYS[1]  record of the stream (see lib/stream.lua); may not be there yet, the event being in time still
-- ARGV[1]  the text, all of it   ARGV[2]  how long it is kept, ms
-- returns  1 when a poll will show it, 0 when the answer is decided
-- dies here / comes twice: the later text stands.
local state = redis.call('HGET', KEYS[1], 'state')
if state and state ~= 'working' then return 0 end
redis.call('HSET', KEYS[1], 'text', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
