-- Store a fetched access token and free the lock.
-- KEYS[1]  the channel's token (hash, see token_take.lua)
-- ARGV[1]  who fetched   ARGV[2]  token   ARGV[3]  when it ends, Unix ms   ARGV[4]  when to fetch the next, Unix ms
-- ARGV[5]  1 when the older endpoint served it, else 0   ARGV[6]  how long to keep all of this, ms
-- returns  1, or 0 when the lock ended meanwhile: another's token may be the valid one
-- dies here / comes twice: the second call has no lock.
if redis.call('HGET', KEYS[1], 'lock_owner') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'lock_owner', 'lock_until_ms', 'failures', 'retry_at_ms', 'endpoint', 'errcode', 'errmsg')
redis.call('HSET', KEYS[1], 'token', ARGV[2], 'expires_at_ms', ARGV[3], 'refresh_at_ms', ARGV[4], 'legacy', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return 1
