-- Move the due time of a claimed delivery: renew its lease, or give it back until later.
-- KEYS[1]  deliveries by due time (sorted set)
-- ARGV[1]  id   ARGV[2]  end of the lease held, Unix ms   ARGV[3]  the new due time, Unix ms
-- returns  1, or 0 when the lease is another's by now
-- dies here / comes twice: the second call no longer holds what it names; nothing but a time is changed.
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], 'XX', ARGV[3], ARGV[1])
return 1
