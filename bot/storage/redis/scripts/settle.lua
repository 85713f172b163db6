-- Decide the answer of an event, and what becomes of the conversation it belongs to; the first decision stands.
-- KEYS[1]  record of the event (see accept.lua)   KEYS[2]  conversation of the member in this chat
-- KEYS[3]  record of the delivery that carries what did not fit into the HTTP answer
-- KEYS[4]  deliveries by due time   KEYS[5]  deliveries by receiver   KEYS[6]  outbox stream
-- ARGV[1]  now, Unix ms            ARGV[2]  how long the answer is kept, ms
-- ARGV[3]  the answer ('' says nothing)
-- ARGV[4]  conversation as the handler saw it   ARGV[5]  what becomes of it   ARGV[6]  how long it is kept, ms
-- ARGV[7]  id of the delivery, '' for none    ARGV[8]  when it is due, Unix ms
-- ARGV[9…] field, value … of the delivery
-- returns  the record that stands, '<decided at, ms>A<answer>'; '' when the conversation has moved on: nothing
--          was decided, the handler must look again
-- dies here / comes twice: decision, conversation and delivery are one step; a second decider gets the first
--          one's answer and changes nothing.
--@include deliver
--@include converse
local record = redis.call('GET', KEYS[1])
if record and string.match(record, '^%d+A') then return record end
if moved_on(KEYS[2], ARGV[4]) then return '' end
record = ARGV[1] .. 'A' .. ARGV[3]
redis.call('SET', KEYS[1], record, 'PX', ARGV[2])
converse(KEYS[2], ARGV[5], ARGV[6])
if ARGV[7] ~= '' then
  deliver(KEYS[3], KEYS[4], KEYS[6], ARGV[7], ARGV[8], {unpack(ARGV, 9)})
end
return record
