-- Restore the result of one member's check-in among those of its day, where it is not known.
-- KEYS[1]  the community's check-ins of the day (hash: member → stored result, see check_in.lua)
-- ARGV[1]  member   ARGV[2]  result   ARGV[3]  how long the day's results are kept, ms
-- returns  1 when it was not known, else 0
-- dies here / comes twice: what is known stays.
local added = redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3], 'NX')
return added
