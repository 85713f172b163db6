-- Note that a receiver wants nothing unprompted, or wants it again.
-- KEYS[1]  the community's wishes (hash: receiver → '<1 opted out or 0> <outbox id of the wish>')
-- KEYS[2]  outbox stream   KEYS[3]  memory of this event
-- ARGV[1]  community   ARGV[2]  receiver   ARGV[3]  1 opted out, 0 not   ARGV[4]  when it was said, Unix ms
-- ARGV[5]  who said it: member or token   ARGV[6]  how long the event is remembered, ms
-- returns  1, or 0 when the event was noted before
-- dies here / comes twice: one step; the second call changes nothing, also after a later wish.
if not redis.call('SET', KEYS[3], '1', 'NX', 'PX', ARGV[6]) then return 0 end
local entry = redis.call('XADD', KEYS[2], '*', 'kind', 'opt_out', 'community', ARGV[1], 'receiver', ARGV[2],
  'opted_out', ARGV[3], 'at_ms', ARGV[4], 'operator', ARGV[5])
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3] .. ' ' .. entry)
return 1
