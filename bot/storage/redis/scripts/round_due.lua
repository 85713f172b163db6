-- Take rounds whose time is up, for one process.
-- KEYS[1]  rounds of the shard by the end of their time (sorted set of '<community> <id>')
-- ARGV[1]  now, Unix ms   ARGV[2]  until when they are the caller's, Unix ms   ARGV[3]  most
-- returns  the rounds
-- dies here / comes twice: what the caller does not end in time is taken by another; to end a round twice has no effect.
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, name in ipairs(due) do redis.call('ZADD', KEYS[1], ARGV[2], name) end
return due
