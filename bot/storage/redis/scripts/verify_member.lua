-- Read what Redis holds of one member's points and check-ins.
-- KEYS[1]  member   KEYS[2]  the member's check-in days (see lib/calendar.lua)
-- returns  {points ('' for none), field, value … of KEYS[2]}
-- dies here / comes twice: it only reads.
local read = redis.call('HGETALL', KEYS[2])
table.insert(read, 1, redis.call('HGET', KEYS[1], 'points') or '')
return read
