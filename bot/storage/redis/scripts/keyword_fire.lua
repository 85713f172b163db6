-- Ask whether a keyword rule may answer now, and which of its answers is next in turn.
-- KEYS[1]  the rule's cool-down in this scope   KEYS[2]  the rule's turn (integer)
-- KEYS[3]  result for this event and rule, kept so that a repeat is told the same
-- ARGV[1]  now, Unix ms   ARGV[2]  cool-down, ms, 0 for none   ARGV[3]  1 when answers go in turn
-- ARGV[4]  how long the result is kept, ms
-- returns  {1, turn from 0} | {0, ms until it may answer again}
-- dies here / comes twice: the result is stored in the same step; a refusal changes nothing.
local stored = redis.call('GET', KEYS[3])
if stored then return {1, tonumber(stored)} end
local now, cool_down = tonumber(ARGV[1]), tonumber(ARGV[2])
if cool_down > 0 then
  local until_ms = tonumber(redis.call('GET', KEYS[1]) or '0')
  if until_ms > now then return {0, until_ms - now} end
  redis.call('SET', KEYS[1], string.format('%.0f', now + cool_down), 'PX', cool_down)
end
local turn = 0
if ARGV[3] == '1' then turn = redis.call('INCR', KEYS[2]) - 1 end
redis.call('SET', KEYS[3], turn, 'PX', ARGV[4])
return {1, turn}
