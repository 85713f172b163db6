-- Take an event in that its platform never repeats: told apart from its repeats, counted, and put on the queue, so
-- that a crash from here on loses nothing.
-- KEYS[1…9] and ARGV[1…10] as in accept.lua
-- KEYS[10] queued event ids by the end of their lease (sorted set)   KEYS[11] queued events by id (hash)
-- ARGV[11] end of the lease, Unix ms: until then the handler that starts now is trusted to finish
-- ARGV[12] event id   ARGV[13] the event
-- returns  {'new', events this minute, conversation, rounds} when it is on the queue now | else as accept.lua
-- dies here / comes twice: digest, counters, acknowledgement ('<ms>A', the empty answer) and queue are one step; a
--          repeat finds it decided and changes nothing.
--@include accept
redis.call('SET', KEYS[3], ARGV[2] .. 'A', 'PX', ARGV[3])
redis.call('ZADD', KEYS[10], ARGV[11], ARGV[12])
redis.call('HSET', KEYS[11], ARGV[12], ARGV[13])
return {'new', rate, talk, rounds}
