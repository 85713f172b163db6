-- Acknowledge an event whose handler is late, and put it on the queue so that a crash loses nothing.
-- KEYS[1]  record of the event (see accept.lua)
-- KEYS[2]  queued event ids by the end of their lease (sorted set)
-- KEYS[3]  queued events by id (hash)
-- KEYS[4]  record of the stream that will show the answer (see lib/stream.lua)
-- ARGV[1]  now, Unix ms   ARGV[2]  how long the answer is kept, ms   ARGV[3]  event id
-- ARGV[4]  end of the lease, Unix ms: until then the handler already running is trusted to finish
-- ARGV[5]  the event
-- ARGV[6]  state of the stream: working or apart; '' where the platform has no streams
-- ARGV[7]  who the stream counts for   ARGV[8]  how long it is kept, ms
-- returns  the record that stands; the empty answer '<ms>A' when it was put on the queue
-- dies here / comes twice: before it the platform has no answer and repeats; after it the queue has the event.
--          The first call's state of the stream stands.
local record = redis.call('GET', KEYS[1])
if record and string.match(record, '^%d+A') then return record end
record = ARGV[1] .. 'A'
redis.call('SET', KEYS[1], record, 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
redis.call('HSET', KEYS[3], ARGV[3], ARGV[5])
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[4], 'state', ARGV[6], 'owner', ARGV[7])
  redis.call('PEXPIRE', KEYS[4], ARGV[8])
end
return record
