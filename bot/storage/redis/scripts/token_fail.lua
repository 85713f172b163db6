-- Fetching failed: free the lock, and let nobody fetch for a while that doubles with each failure in a row.
-- KEYS[1]  the channel's token (hash, see token_take.lua)
-- ARGV[1]  who fetched   ARGV[2]  now, Unix ms   ARGV[3]  endpoint   ARGV[4]  errcode, '' for no usable answer
-- ARGV[5]  errmsg   ARGV[6]  first length, ms   ARGV[7]  longest length, ms   ARGV[8]  how long to keep all of this, ms
-- returns  1, or 0 when the lock ended meanwhile
-- dies here / comes twice: the second call has no lock.
if redis.call('HGET', KEYS[1], 'lock_owner') ~= ARGV[1] then return 0 end
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
local length = math.min(tonumber(ARGV[6]) * 2 ^ math.min(failures - 1, 20), tonumber(ARGV[7]))
redis.call('HDEL', KEYS[1], 'lock_owner', 'lock_until_ms')
redis.call('HSET', KEYS[1], 'retry_at_ms', string.format('%.0f', tonumber(ARGV[2]) + length),
  'endpoint', ARGV[3], 'errcode', ARGV[4], 'errmsg', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[8])
return 1
