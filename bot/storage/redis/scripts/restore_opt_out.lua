-- Restore one receiver's wish from history, unless it has changed since history was read.
-- KEYS[1]  the community's wishes (see opt_out.lua)
-- ARGV[1]  receiver   ARGV[2]  what stood there before history was read, '' for nothing
-- ARGV[3]  what history says, '' for nothing
-- returns  1 when something was changed, else 0
-- dies here / comes twice: what was said meanwhile stays; the same again changes nothing.
local now = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if now ~= ARGV[2] or now == ARGV[3] then return 0 end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return 1
