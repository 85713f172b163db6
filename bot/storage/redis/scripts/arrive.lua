-- A member follows or opens the chat: note it, and say whether and how they are to be greeted.
-- KEYS[1]  member (hash: joined_at, left_at, joins, greeted, greeted_on, entry)   KEYS[2]  outbox
-- KEYS[3]  result of this event, kept so that a repeat is told the same
-- ARGV[1]  community   ARGV[2]  member   ARGV[3]  channel   ARGV[4]  user id
-- ARGV[5]  when, Unix ms   ARGV[6]  community-day, YYYY-MM-DD
-- ARGV[7]  subscribe | enter   ARGV[8]  how long the result is kept, ms
-- returns  first | returning | quiet. Following always greets; opening the chat welcomes a returning member back
--          once a day (greeted_on is the last day of that).
-- dies here / comes twice: one step, and the result is stored with it.
local stored = redis.call('GET', KEYS[3])
if stored then return stored end
local greeted, greeted_on, joined_at, left_at =
  unpack(redis.call('HMGET', KEYS[1], 'greeted', 'greeted_on', 'joined_at', 'left_at'))
local result = 'returning'
if not greeted then
  result = 'first'
elseif ARGV[7] == 'enter' and greeted_on and greeted_on >= ARGV[6] then
  result = 'quiet'
end
redis.call('HSET', KEYS[1], 'greeted', '1')
if result == 'returning' and not (greeted_on and greeted_on >= ARGV[6]) then
  redis.call('HSET', KEYS[1], 'greeted_on', ARGV[6])
end
if ARGV[7] == 'subscribe' then
  local at = tonumber(ARGV[5])
  -- An arrival of the same instant is this one, told again after its result was lost with Redis' memory.
  if joined_at ~= ARGV[5] then redis.call('HINCRBY', KEYS[1], 'joins', 1) end
  -- Who comes back joined when they came back; an arrival told late does not undo what happened after it.
  if not joined_at or at > tonumber(joined_at) then
    joined_at = ARGV[5]
    redis.call('HSET', KEYS[1], 'joined_at', joined_at)
  end
  if left_at and at >= tonumber(left_at) then
    left_at = false
    redis.call('HDEL', KEYS[1], 'left_at')
  end
  local joins, name = unpack(redis.call('HMGET', KEYS[1], 'joins', 'name'))
  local entry = redis.call('XADD', KEYS[2], '*', 'kind', 'member', 'community', ARGV[1], 'member', ARGV[2],
    'channel', ARGV[3], 'user_id', ARGV[4], 'name', name or '', 'joined_at_ms', joined_at,
    'left_at_ms', left_at or '', 'joins', joins or '0', 'at_ms', ARGV[5])
  redis.call('HSET', KEYS[1], 'entry', entry)
end
redis.call('SET', KEYS[3], result, 'PX', ARGV[8])
return result
