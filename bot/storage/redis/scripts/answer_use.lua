-- Take the one use of an address that a platform gave to answer with.
-- KEYS[1]  who uses it: '<part number>'
-- ARGV[1]  part number   ARGV[2]  how long the address is good, ms
-- returns  first: it is this part's now | again: this part has tried it before | taken: another part has it
-- dies here / comes twice: a part that tried it and died tries it again, and learns that it may have been used.
local user = redis.call('GET', KEYS[1])
if not user then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 'first'
end
return user == ARGV[1] and 'again' or 'taken'
