-- Write down how a long connection is, or give the right to hold it back; only for its present holder.
-- KEYS[1]  the lease (see connection_take.lua)   KEYS[2]  what is known of the connection (hash)
-- ARGV[1]  who asks   ARGV[2]  its fence   ARGV[3]  1 gives the right back, 0 keeps it
-- ARGV[4]  how long it is known, ms   ARGV[5…]  field, value …
-- returns  1, or 0 when the right is another's by now
-- dies here / comes twice: writes the same values again; a second giving back changes nothing.
if redis.call('GET', KEYS[1]) ~= ARGV[2] .. ' ' .. ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[2], ARGV[4])
if ARGV[3] == '1' then redis.call('DEL', KEYS[1]) end
return 1
