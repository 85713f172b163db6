-- Counters were written to SQL: forget that they were not, unless they have moved on meanwhile.
-- KEYS[1]  set of counters not yet written   KEYS[2]  counters of one member's day (hash)
-- ARGV[1]  their name in KEYS[1]   ARGV[2…]  field, value as written …
-- returns  1 when they are written, 0 when they changed meanwhile and stay in the set
-- dies here / comes twice: the figures are absolute; writing them again is harmless.
for i = 2, #ARGV, 2 do
  if (redis.call('HGET', KEYS[2], ARGV[i]) or '0') ~= ARGV[i + 1] then return 0 end
end
redis.call('SREM', KEYS[1], ARGV[1])
return 1
