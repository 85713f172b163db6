-- Hold a task that only one process may do, or learn that another holds it.
-- KEYS[1]  the lease   ARGV[1]  who asks   ARGV[2]  how long, ms
-- returns  1 held by the asker (taken or renewed), 0 by another
-- dies here / comes twice: the lease ends by itself.
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
