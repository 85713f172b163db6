-- A late handler has finished: take the event off the queue and hand its reply to delivery.
-- KEYS[1]  queued event ids by the end of their lease   KEYS[2]  queued events by id
-- KEYS[3]  how often each was taken   KEYS[4]  record of the delivery
-- KEYS[5]  deliveries by due time     KEYS[6]  deliveries by receiver   KEYS[7]  outbox stream
-- KEYS[8]  record of the stream that shows the answer (see lib/stream.lua); absent where there is none
-- ARGV[1]  event id   ARGV[2]  how long a poll of that stream is waited for, ms: the delivery is due so much later;
--          0 where no stream can show it
-- ARGV[3]  how long the stream is kept from here, ms
-- ARGV[4]  id of the delivery, '' when there is nothing to say   ARGV[5]  due, Unix ms
-- ARGV[6…] field, value … of the delivery
-- returns  1 when this call finished it, 0 when another had
-- dies here / comes twice: removal and delivery are one step; the delivery's id comes from the event's.
--@include deliver
if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
local due_ms = ARGV[5]
if redis.call('HGET', KEYS[8], 'state') == 'working' then
  local state = ARGV[2] == '0' and 'elsewhere' or 'ready'
  if ARGV[4] == '' then state = 'silent' end
  redis.call('HSET', KEYS[8], 'state', state)
  redis.call('PEXPIRE', KEYS[8], ARGV[3])
  due_ms = string.format('%.0f', due_ms + ARGV[2])
end
if ARGV[4] ~= '' then
  deliver(KEYS[4], KEYS[5], KEYS[7], ARGV[4], due_ms, {unpack(ARGV, 6)})
end
return 1
