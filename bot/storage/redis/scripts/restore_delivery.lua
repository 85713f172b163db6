-- Restore a delivery that history knows as queued.
-- KEYS[1]  record of the delivery   KEYS[2]  deliveries by due time (sorted set)
-- KEYS[3]  deliveries of each receiver in order
-- ARGV[1]  id   ARGV[2]  when it is due, Unix ms   ARGV[3]  when it was created, Unix ms
-- ARGV[4]  channel   ARGV[5]  user id   ARGV[6]  group id   ARGV[7…]  field, value …, all that lib/deliver.lua names
-- returns  1, or 0 when Redis knows it: queued, or finished a short while ago
-- dies here / comes twice: one step; a second call changes nothing.
--@include deliver
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local receiver = delivery_receiver(ARGV[4], ARGV[5], ARGV[6])
-- As `deliver` makes it, but in its old place: by the instant of its creation.
local creation = string.rep('0', 15 - #ARGV[3]) .. ARGV[3] .. string.rep('0', 10)
local place = receiver .. '\31' .. creation .. '\31' .. ARGV[2] .. '\31' .. ARGV[1]
redis.call('HSET', KEYS[1], 'place', place, 'queued_at_ms', ARGV[2], unpack(ARGV, 7))
redis.call('ZADD', KEYS[3], 0, place)
delivery_first(KEYS[2], receiver)
return 1
