-- Take one of the sends that a receiver may be sent, and say whether the platform shall look for a duplicate.
-- KEYS[1]  instants of the receiver's last sends, newest first (list)
-- KEYS[2]  who sent this same content to this receiver last: '<0 or 1> <claim>'
-- ARGV[1]  now, Unix ms   ARGV[2]  claim: who sends, '<delivery id>:<part>'; '' where duplicates are not looked for
-- ARGV[3]  how far back the platform looks for duplicates, ms
-- ARGV[4…] most sends, in how many ms, …: every one of these rates holds
-- returns  {0, guard} when it may be sent now, {instant, 0} when not before that instant, Unix ms
--          guard 1: ask the platform to drop a duplicate; 0: do not, since another delivery said the same lately
--          and this one would be the duplicate.
-- dies here / comes twice: a repeat takes another send, and gets the same guard.
local now, most, longest, wait = tonumber(ARGV[1]), 0, 0, 0
for index = 4, #ARGV, 2 do
  local limit, length = tonumber(ARGV[index]), tonumber(ARGV[index + 1])
  local at = redis.call('LINDEX', KEYS[1], limit - 1)
  if at then wait = math.max(wait, tonumber(at) + length) end
  most, longest = math.max(most, limit), math.max(longest, length)
end
if wait > now then return {wait, 0} end
if most > 0 then
  redis.call('LPUSH', KEYS[1], ARGV[1])
  redis.call('LTRIM', KEYS[1], 0, most - 1)
  redis.call('PEXPIRE', KEYS[1], longest)
end
if ARGV[2] == '' then return {0, 0} end
local guard = '1'
local known = redis.call('GET', KEYS[2])
if known then guard = string.sub(known, 3) == ARGV[2] and string.sub(known, 1, 1) or '0' end
redis.call('SET', KEYS[2], guard .. ' ' .. ARGV[2], 'PX', ARGV[3])
return {0, tonumber(guard)}
