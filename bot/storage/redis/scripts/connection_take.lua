-- Take the right to hold a channel's long connection, or renew it; only one process has it.
-- KEYS[1]  the lease: '<fence> <owner>'   KEYS[2]  what is known of the connection (hash)
-- ARGV[1]  who asks   ARGV[2]  the fence it holds, '0' to take the right anew   ARGV[3]  how long, ms
-- returns  {fence, kicks in a row, until when the last one forbids to connect (Unix ms, text)}; fence 0: another holds it, or what was
--          held has ended. Each taking has a higher fence, so what an earlier holder still wants to write is refused.
-- dies here / comes twice: the lease ends by itself; a taking whose answer was lost is refused until then.
local lease = redis.call('GET', KEYS[1])
local fence = ARGV[2]
if fence == '0' then
  if lease then return {0, 0, '0'} end
  fence = redis.call('HINCRBY', KEYS[2], 'fence', 1)
elseif lease ~= fence .. ' ' .. ARGV[1] then
  return {0, 0, '0'}
end
redis.call('SET', KEYS[1], fence .. ' ' .. ARGV[1], 'PX', ARGV[3])
local known = redis.call('HMGET', KEYS[2], 'kicks', 'kicked_until_ms')
return {tonumber(fence), tonumber(known[1] or '0'), known[2] or '0'}
