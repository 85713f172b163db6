-- Restore the result of one cause (an order, a make-up card), where it is not known.
-- KEYS[1]  result of the cause   ARGV[1]  the result   ARGV[2]  how long it is kept, ms
-- returns  1 when it was not known, else 0
-- dies here / comes twice: what is known stays.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return 0
