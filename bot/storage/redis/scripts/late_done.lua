-- A late handler has finished: take the event off the queue and hand its reply to delivery.
-- KEYS[1]  queued event ids by the end of their lease   KEYS[2]  queued events by id
-- KEYS[3]  how often each was taken   KEYS[4]  record of the delivery
-- KEYS[5]  deliveries by due time     KEYS[6]  deliveries by receiver   KEYS[7]  outbox stream
-- ARGV[1]  event id   ARGV[2]  id of the delivery, '' when there is nothing to say   ARGV[3]  due, Unix ms
-- ARGV[4…] field, value … of the delivery
-- returns  1 when this call finished it, 0 when another had
-- dies here / comes twice: removal and delivery are one step; the delivery's id comes from the event's.
--@include deliver
if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
if ARGV[2] ~= '' then
  deliver(KEYS[4], KEYS[5], KEYS[7], ARGV[2], ARGV[3], {unpack(ARGV, 4)})
end
return 1
