-- Restore what Redis holds of one member from history, unless they have changed since history was read.
-- KEYS[1]  member (hash: points, entry, name, joined_at, left_at, joins, greeted)
-- KEYS[2]  the member's check-in days (see lib/calendar.lua)   KEYS[3…]  every ranking that is kept
-- ARGV[1]  member   ARGV[2]  outbox id of their latest change before history was read, '' for none
-- ARGV[3]  points   ARGV[4]  1 when history has met them: they count as greeted
-- ARGV[5]  name   ARGV[6]  joined at, Unix ms   ARGV[7]  left at, Unix ms; each '' where unknown
-- ARGV[8]  joins   ARGV[9]  n, how many values follow for KEYS[2]   ARGV[10…9+n]  field, value …
-- ARGV[10+n…] for each ranking: sum ('' for no entry), how long it is kept, ms (0 for ever)
-- returns  1, or 0 when they have changed: drain, read again, call again
-- dies here / comes twice: one step for the member; the same again changes nothing.
if (redis.call('HGET', KEYS[1], 'entry') or '') ~= ARGV[2] then return 0 end
local function put(field, value, none)
  if value == none then redis.call('HDEL', KEYS[1], field) else redis.call('HSET', KEYS[1], field, value) end
end
put('points', ARGV[3], '0')
if ARGV[4] == '1' then redis.call('HSET', KEYS[1], 'greeted', '1') end
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'name', ARGV[5]) end
put('joined_at', ARGV[6], '')
put('left_at', ARGV[7], '')
put('joins', ARGV[8], '0')
redis.call('DEL', KEYS[2])
local values = tonumber(ARGV[9])
if values > 0 then redis.call('HSET', KEYS[2], unpack(ARGV, 10, 9 + values)) end
for board = 3, #KEYS do
  local sum, keep_ms = ARGV[4 + values + 2 * board], ARGV[5 + values + 2 * board]
  if sum == '' then
    redis.call('ZREM', KEYS[board], ARGV[1])
  else
    redis.call('ZADD', KEYS[board], sum, ARGV[1])
    if keep_ms ~= '0' then redis.call('PEXPIRE', KEYS[board], keep_ms, 'NX') end
  end
end
return 1
