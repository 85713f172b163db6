-- Take an event in that its platform never repeats: told apart from its repeats, counted, and put on the queue, so
-- that a crash from here on loses nothing.
-- KEYS[1…8] and ARGV[1…9] as in accept.lua
-- KEYS[9]  queued event ids by the end of their lease (sorted set)   KEYS[10]  queued events by id (hash)
-- ARGV[10] end of the lease, Unix ms: until then the handler that starts now is trusted to finish
-- ARGV[11] event id   ARGV[12] the event
-- returns  {'new', events this minute, conversation} when it is on the queue now | {'open', '', conversation}
--          | {'decided', record} | {'old', ''}; the conversation is '' for none
-- dies here / comes twice: digest, counters, acknowledgement ('<ms>A', the empty answer) and queue are one step; a
--          repeat finds it decided and changes nothing.
--@include accept
redis.call('SET', KEYS[3], ARGV[2] .. 'A', 'PX', ARGV[3])
redis.call('ZADD', KEYS[9], ARGV[10], ARGV[11])
redis.call('HSET', KEYS[10], ARGV[11], ARGV[12])
return {'new', rate, talk}
