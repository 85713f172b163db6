-- Claim deliveries that are due. The new due time is the lease: it is also what the claimant shows as proof,
-- since every later claim sets a higher one.
-- KEYS[1]  deliveries by due time (sorted set)
-- ARGV[1]  now, Unix ms   ARGV[2]  end of the lease, Unix ms, after now   ARGV[3]  how many at most
-- returns  {id, …}, longest due first
-- dies here / comes twice: the lease ends and another sender claims them.
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], 'XX', ARGV[2], id) end
return ids
