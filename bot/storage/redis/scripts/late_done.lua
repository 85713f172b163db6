-- A late handler has finished: take the event off the queue and hand its reply to delivery.
-- KEYS[1]  queued event ids by the end of their lease   KEYS[2]  queued events by id
-- KEYS[3]  how often each was taken   KEYS[4]  conversation of the member in this chat
-- KEYS[5]  record of the delivery     KEYS[6]  deliveries by due time
-- KEYS[7]  deliveries by receiver     KEYS[8]  outbox stream
-- KEYS[9]  record of the stream that shows the answer (see lib/stream.lua); absent where there is none
-- ARGV[1]  event id   ARGV[2]  how long a poll of that stream is waited for, ms: the delivery is due so much later;
--          0 where no stream can show it
-- ARGV[3]  how long the stream is kept from here, ms
-- ARGV[4]  conversation as the handler saw it   ARGV[5]  what becomes of it   ARGV[6]  how long it is kept, ms
-- ARGV[7]  id of the delivery, '' when there is nothing to say   ARGV[8]  due, Unix ms
-- ARGV[9…] field, value … of the delivery
-- returns  1 when this call finished it, 0 when another had, -1 when the conversation has moved on: the event
--          is still queued, the handler must look again
-- dies here / comes twice: removal, conversation and delivery are one step; the delivery's id comes from the
--          event's.
--@include deliver
--@include converse
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return 0 end
if moved_on(KEYS[4], ARGV[4]) then return -1 end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
converse(KEYS[4], ARGV[5], ARGV[6])
local due_ms = ARGV[8]
if redis.call('HGET', KEYS[9], 'state') == 'working' then
  local state = ARGV[2] == '0' and 'elsewhere' or 'ready'
  if ARGV[7] == '' then state = 'silent' end
  redis.call('HSET', KEYS[9], 'state', state)
  redis.call('PEXPIRE', KEYS[9], ARGV[3])
  due_ms = string.format('%.0f', due_ms + ARGV[2])
end
if ARGV[7] ~= '' then
  deliver(KEYS[5], KEYS[6], KEYS[8], ARGV[7], due_ms, {unpack(ARGV, 9)})
end
return 1
