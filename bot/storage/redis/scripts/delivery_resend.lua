-- Queue a dead delivery again, behind whatever its receiver still waits for; parts already sent are not repeated.
-- KEYS[1]  record of the delivery   KEYS[2]  deliveries by due time (sorted set)
-- KEYS[3]  deliveries of each receiver in order   KEYS[4]  outbox stream
-- ARGV[1]  id   ARGV[2]  when it is due, Unix ms   ARGV[3…]  field, value …, as SQL knows them
-- returns  1 when it is queued now, 0 when it is queued already or was delivered
-- dies here / comes twice: one step; the second finds it queued.
--@include deliver
local state = redis.call('HGET', KEYS[1], 'state')
if state and state ~= 'dead' then return 0 end
redis.call('DEL', KEYS[1])
return deliver(KEYS[1], KEYS[2], KEYS[4], ARGV[1], ARGV[2], {unpack(ARGV, 3)})
