-- A member unfollows.
-- KEYS[1]  member   KEYS[2]  outbox
-- ARGV[1]  community   ARGV[2]  member   ARGV[3]  channel   ARGV[4]  user id   ARGV[5]  when, Unix ms
-- returns  1 when they were here, 0 when they had already left or, where this is told late, have come back since
-- dies here / comes twice: setting the same leave again changes nothing.
local joined_at, left_at, joins, name =
  unpack(redis.call('HMGET', KEYS[1], 'joined_at', 'left_at', 'joins', 'name'))
if left_at or (joined_at and tonumber(ARGV[5]) < tonumber(joined_at)) then return 0 end
local entry = redis.call('XADD', KEYS[2], '*', 'kind', 'member', 'community', ARGV[1], 'member', ARGV[2],
  'channel', ARGV[3], 'user_id', ARGV[4], 'name', name or '', 'joined_at_ms', joined_at or '',
  'left_at_ms', ARGV[5], 'joins', joins or '0', 'at_ms', ARGV[5])
redis.call('HSET', KEYS[1], 'left_at', ARGV[5], 'entry', entry)
return 1
