-- Decide the answer of an event; the first decision stands.
-- KEYS[1]  record of the event (see accept.lua)
-- KEYS[2]  record of the delivery that carries what did not fit into the HTTP answer
-- KEYS[3]  deliveries by due time   KEYS[4]  deliveries by receiver   KEYS[5]  outbox stream
-- ARGV[1]  now, Unix ms            ARGV[2]  how long the answer is kept, ms
-- ARGV[3]  the answer ('' says nothing)
-- ARGV[4]  id of the delivery, '' for none    ARGV[5]  when it is due, Unix ms
-- ARGV[6…] field, value … of the delivery
-- returns  the record that stands, '<decided at, ms>A<answer>'
-- dies here / comes twice: decision and delivery are one step; a second decider gets the first one's answer.
--@include deliver
local record = redis.call('GET', KEYS[1])
if record and string.match(record, '^%d+A') then return record end
record = ARGV[1] .. 'A' .. ARGV[3]
redis.call('SET', KEYS[1], record, 'PX', ARGV[2])
if ARGV[4] ~= '' then
  deliver(KEYS[2], KEYS[3], KEYS[5], ARGV[4], ARGV[5], {unpack(ARGV, 6)})
end
return record
