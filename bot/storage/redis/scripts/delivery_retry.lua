-- A part was not accepted: try again later.
-- KEYS[1]  record of the delivery   KEYS[2]  deliveries by due time (sorted set)   KEYS[3]  outbox stream
-- ARGV[1]  id   ARGV[2]  end of the lease held, Unix ms   ARGV[3]  the new due time, Unix ms
-- ARGV[4]  reason   ARGV[5]  1 when it counts as an attempt, 0 when the whole channel is to wait
-- ARGV[6]  now, Unix ms
-- returns  1, or 0 when the lease is another's by now
-- dies here / comes twice: a crash before this call does not count the attempt; the second call has no lease.
--@include deliver
if redis.call('HGET', KEYS[1], 'state') ~= 'queued' then return 0 end
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'reason', ARGV[4], 'updated_at_ms', ARGV[6])
redis.call('HINCRBY', KEYS[1], 'attempts', ARGV[5])
redis.call('ZADD', KEYS[2], 'XX', ARGV[3], ARGV[1])
delivery_row(KEYS[1], KEYS[3], ARGV[1])
return 1
