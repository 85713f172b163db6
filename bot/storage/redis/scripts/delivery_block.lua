-- Keep a whole channel from sending for a while; the while doubles as long as no send succeeds between.
-- KEYS[1]  the channel's block (hash: until_ms, reason, count of failures in a row, probe_until_ms while one part is on
--          its way to find out whether the block is over); without a success it is forgotten in the end
-- ARGV[1]  now, Unix ms   ARGV[2]  first length, ms   ARGV[3]  longest length, ms   ARGV[4]  reason
-- returns  the instant it ends, Unix ms
-- dies here / comes twice: while it lasts, further calls change nothing: many sends that fail together are one failure.
local now = tonumber(ARGV[1])
local ends = tonumber(redis.call('HGET', KEYS[1], 'until_ms') or '0')
if now < ends then return ends end
local count = redis.call('HINCRBY', KEYS[1], 'count', 1)
local length = math.min(tonumber(ARGV[2]) * 2 ^ math.min(count - 1, 20), tonumber(ARGV[3]))
ends = now + length
redis.call('HDEL', KEYS[1], 'probe_until_ms')
redis.call('HSET', KEYS[1], 'until_ms', string.format('%.0f', ends), 'reason', ARGV[4])
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', 2 * length + 600000))
return ends
