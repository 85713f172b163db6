-- Ask for a channel's access token. Whoever is told to fetch has the lock until it ends.
-- KEYS[1]  the channel's token (hash: token expires_at_ms refresh_at_ms legacy forced_at_ms, lock_owner lock_until_ms,
--          and of the last failure failures retry_at_ms endpoint errcode errmsg)
-- ARGV[1]  now, Unix ms   ARGV[2]  who asks   ARGV[3]  length of the lock, ms
-- ARGV[4]  a token the platform just refused, '' for none   ARGV[5]  least ms between two such refreshes
-- returns  {'use', token}             a good one
--          {'refresh', token, legacy} a good one that ends soon: use it, and fetch beside
--          {'fetch', '', legacy}      none: fetch
--          {'wait'}                   none: another is fetching
--          {'failed', endpoint, errcode, errmsg}  none: fetching failed a moment ago (errcode '' = no usable answer)
--          {'refused'}                the refused token was replaced less than ARGV[5] ago: do not fetch again
-- dies here / comes twice: a fetcher that dies leaves a lock that ends by itself.
local now = tonumber(ARGV[1])
local known = redis.call('HMGET', KEYS[1], 'token', 'expires_at_ms', 'refresh_at_ms', 'lock_until_ms',
  'retry_at_ms', 'forced_at_ms', 'legacy', 'endpoint', 'errcode', 'errmsg')
local token, legacy = known[1], known[7] or '0'
local locked = known[4] and now < tonumber(known[4])
local failing = known[5] and now < tonumber(known[5])

local function lock()
  redis.call('HSET', KEYS[1], 'lock_owner', ARGV[2], 'lock_until_ms', string.format('%.0f', now + tonumber(ARGV[3])))
end

if token and now < tonumber(known[2]) and token ~= ARGV[4] then
  if now < tonumber(known[3]) or locked or failing then return {'use', token} end
  lock()
  return {'refresh', token, legacy}
end
if locked then return {'wait'} end
if failing then return {'failed', known[8], known[9], known[10]} end
if token and token == ARGV[4] and now < tonumber(known[2]) then
  if known[6] and now < tonumber(known[6]) + tonumber(ARGV[5]) then return {'refused'} end
  redis.call('HSET', KEYS[1], 'forced_at_ms', ARGV[1])
  redis.call('HDEL', KEYS[1], 'token')
end
lock()
return {'fetch', '', legacy}
