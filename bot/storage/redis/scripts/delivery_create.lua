-- Create a delivery that no event asked for.
-- KEYS[1]  record of the delivery   KEYS[2]  deliveries by due time (sorted set)
-- KEYS[3]  deliveries of each receiver in order   KEYS[4]  outbox stream
-- ARGV[1]  id   ARGV[2]  when it is due, Unix ms   ARGV[3…]  field, value …
-- returns  1 when this call created it, 0 when the id exists or has been finished a short while ago
-- dies here / comes twice: one step; a second call changes nothing.
--@include deliver
return deliver(KEYS[1], KEYS[2], KEYS[4], ARGV[1], ARGV[2], {unpack(ARGV, 3)})
