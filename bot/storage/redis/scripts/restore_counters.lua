-- Restore the counters of a member's day from history, where those are higher.
-- KEYS[1]  counters of the member's day (hash)
-- ARGV[1]  how long they are kept, ms   ARGV[2…]  counter, value by history …
-- returns  1 when something was lower, else 0
-- dies here / comes twice: counters only grow, the greatest value stays.
local changed = 0
for i = 2, #ARGV, 2 do
  if tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '0') < tonumber(ARGV[i + 1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    changed = 1
  end
end
if changed == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1], 'NX') end
return changed
