-- A member follows or opens the chat: note it, and say whether and how they are to be greeted.
-- KEYS[1]  member (hash: joined_at, left_at, joins, greeted, greeted_on)   KEYS[2]  outbox
-- KEYS[3]  result of this event, kept so that a repeat is told the same
-- ARGV[1]  community   ARGV[2]  member   ARGV[3]  channel   ARGV[4]  user id
-- ARGV[5]  when, Unix ms   ARGV[6]  community-day, YYYY-MM-DD
-- ARGV[7]  subscribe | enter   ARGV[8]  how long the result is kept, ms
-- returns  first | returning | quiet. Opening the chat greets a returning member once a day; following always.
-- dies here / comes twice: one step, and the result is stored with it.
local stored = redis.call('GET', KEYS[3])
if stored then return stored end
local greeted, greeted_on = unpack(redis.call('HMGET', KEYS[1], 'greeted', 'greeted_on'))
local result = 'returning'
if not greeted then
  result = 'first'
elseif ARGV[7] == 'enter' then
  if greeted_on == ARGV[6] then result = 'quiet' else redis.call('HSET', KEYS[1], 'greeted_on', ARGV[6]) end
end
redis.call('HSET', KEYS[1], 'greeted', '1')
if ARGV[7] == 'subscribe' then
  redis.call('HINCRBY', KEYS[1], 'joins', 1)
  -- Who comes back joined when they came back.
  if redis.call('HDEL', KEYS[1], 'left_at') == 1 then redis.call('HDEL', KEYS[1], 'joined_at') end
  redis.call('HSETNX', KEYS[1], 'joined_at', ARGV[5])
  local joined_at, joins = unpack(redis.call('HMGET', KEYS[1], 'joined_at', 'joins'))
  redis.call('XADD', KEYS[2], '*', 'kind', 'member', 'community', ARGV[1], 'member', ARGV[2], 'channel', ARGV[3],
    'user_id', ARGV[4], 'name', redis.call('HGET', KEYS[1], 'name') or '', 'joined_at_ms', joined_at,
    'left_at_ms', '', 'joins', joins, 'at_ms', ARGV[5])
end
redis.call('SET', KEYS[3], result, 'PX', ARGV[8])
return result
