-- A part was accepted by the platform, and others follow it: count it and renew the lease.
-- KEYS[1]  record of the delivery   KEYS[2]  deliveries by due time (sorted set)   KEYS[3]  outbox stream
-- ARGV[1]  id   ARGV[2]  end of the lease held, Unix ms   ARGV[3]  end of the new lease, Unix ms
-- ARGV[4]  number of the part, from 0   ARGV[5]  now, Unix ms
-- returns  1, or 0 when the lease is another's by now
-- dies here / comes twice: a crash before this call sends this one part again; afterwards it is never repeated.
--          It counts even when the lease is lost: the platform has it.
--@include deliver
if redis.call('HGET', KEYS[1], 'state') ~= 'queued' then return 0 end
if redis.call('HGET', KEYS[1], 'next_part') == ARGV[4] then
  redis.call('HSET', KEYS[1], 'next_part', string.format('%d', ARGV[4] + 1), 'attempts', '0', 'reason', '',
    'updated_at_ms', ARGV[5])
  delivery_row(KEYS[1], KEYS[3], ARGV[1])
end
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[2], 'XX', ARGV[3], ARGV[1])
return 1
