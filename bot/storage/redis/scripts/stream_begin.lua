-- Count one more unfinished answer of a member, unless they have as many as the platform allows.
-- KEYS[1]  the member's unfinished answers on one channel by the instant their polling ends (sorted set)
-- ARGV[1]  name of the stream   ARGV[2]  now, Unix ms   ARGV[3]  how long it is polled at most, ms
-- ARGV[4]  how many may be unfinished
-- returns  1 when it counts (or did already), 0 when there are too many
-- dies here / comes twice: a stream counts once under its name; one that nobody finishes is forgotten when its
--          polling ends.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2])
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 1 end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
redis.call('ZADD', KEYS[1], string.format('%.0f', ARGV[2] + ARGV[3]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
