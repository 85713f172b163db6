-- Restore a delivery that history knows as queued.
-- KEYS[1]  record of the delivery   KEYS[2]  deliveries by due time (sorted set)
-- KEYS[3]  deliveries of each receiver in order
-- ARGV[1]  id   ARGV[2]  when it is due, Unix ms   ARGV[3]  when it was created, Unix ms
-- ARGV[4]  channel   ARGV[5]  user id   ARGV[6]  group id   ARGV[7]  feature
-- ARGV[8]  until when it is worth sending, Unix ms, 0 for ever   ARGV[9…]  field, value …, all that lib/deliver.lua names
-- returns  1, or 0 when Redis knows it: queued, or finished a short while ago
-- dies here / comes twice: one step; a second call changes nothing.
--@include deliver
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local receiver = delivery_receiver(ARGV[4], ARGV[5], ARGV[6], ARGV[7])
-- As `deliver` makes it, but in its old place: by the instant of its creation.
local place = delivery_place(receiver, ARGV[3], '', ARGV[2], ARGV[1])
redis.call('HSET', KEYS[1], 'place', place, 'queued_at_ms', ARGV[2], unpack(ARGV, 9))
redis.call('ZADD', KEYS[3], 0, place)
if ARGV[8] ~= '0' then redis.call('ZADD', KEYS[2] .. ':until', ARGV[8], ARGV[1]) end
delivery_first(KEYS[2], receiver)
return 1
