-- Check a member in for one community-day, pay for it, and append everything to the outbox.
-- KEYS[1]  member   KEYS[2]  outbox   KEYS[3…6]  boards (see lib/ledger.lua)
-- KEYS[7]  the member's check-in days (hash: b<block> bits, total; see lib/calendar.lua)
-- KEYS[8]  the community's check-ins of this day (hash: member → stored result)
-- KEYS[9]  counters of the member's day   KEYS[10]  set of counters not yet written to SQL
-- ARGV[1]  community   ARGV[2]  member   ARGV[3]  day, YYYY-MM-DD   ARGV[4]  day number
-- ARGV[5]  event id    ARGV[6]  when it counts, Unix ms   ARGV[7]  points of a check-in
-- ARGV[8]  milestones, '3=10,7=30'   ARGV[9]  how long the day's results are kept, ms
-- ARGV[10] how long counters are kept, ms   ARGV[11]  name of the counters in KEYS[10]
-- returns  {'done'|'again'|'already', streak, total, rank of the day, points gained, of these bonus, balance}
--          'again': this very event did it before, the same result; 'already': another event had done it.
-- dies here / comes twice: all of it is one step; the stored result names the event, so a repeat is told its own.
--@include ledger
--@include calendar
local function answer(word, stored)
  local numbers = {}
  for number in string.gmatch(stored, '-?%d+') do numbers[#numbers + 1] = tonumber(number) end
  return {word, unpack(numbers, 1, 6)}
end

local day = tonumber(ARGV[4])
local stored = redis.call('HGET', KEYS[8], ARGV[2])
if stored then
  local figures, cause = string.match(stored, '^([^|]*)|(.*)$')
  return answer(cause == ARGV[5] and 'again' or 'already', figures)
end
if has_day(KEYS[7], day) then
  -- The day's results are gone (an old day) or rebuilt: the calendar still knows.
  local streak = run(KEYS[7], day, -1) + 1 + run(KEYS[7], day, 1)
  local total = tonumber(redis.call('HGET', KEYS[7], 'total') or '0')
  return {'already', streak, total, 0, 0, 0, tonumber(redis.call('HGET', KEYS[1], 'points') or '0')}
end

local before, after = run(KEYS[7], day, -1), run(KEYS[7], day, 1)
mark_day(KEYS[7], day)
local total = redis.call('HINCRBY', KEYS[7], 'total', 1)
local rank = redis.call('HLEN', KEYS[8]) + 1
local streak = before + 1 + after

local balance = tonumber(redis.call('HGET', KEYS[1], 'points') or '0')
local base = tonumber(ARGV[7])
if base > 0 then
  balance = post(1, {ARGV[1], ARGV[2], ARGV[7], 'check_in', ARGV[5], ARGV[6], ARGV[3]})
end
local bonuses, bonus = reached(ARGV[8], before, after), 0
for i = 1, #bonuses, 2 do
  balance = post(1, {ARGV[1], ARGV[2], bonuses[i + 1], 'milestone', ARGV[5], ARGV[6], ARGV[3], 'streak:' .. bonuses[i]})
  bonus = bonus + tonumber(bonuses[i + 1])
end

local entry = redis.call('XADD', KEYS[2], '*', 'kind', 'check_in', 'community', ARGV[1], 'member', ARGV[2], 'day', ARGV[3],
  'at_ms', ARGV[6], 'cause', ARGV[5], 'streak', streak, 'total', total, 'rank', rank,
  'points', string.format('%.0f', base + bonus), 'made_up', '0')
redis.call('HSET', KEYS[1], 'entry', entry)
local figures = string.format('%d %d %d %.0f %.0f %.0f', streak, total, rank, base + bonus, bonus, balance)
redis.call('HSET', KEYS[8], ARGV[2], figures .. '|' .. ARGV[5])
redis.call('PEXPIRE', KEYS[8], ARGV[9], 'NX')
if redis.call('HINCRBY', KEYS[9], 'check_ins', 1) == 1 then redis.call('PEXPIRE', KEYS[9], ARGV[10], 'NX') end
redis.call('SADD', KEYS[10], ARGV[11])
return answer('done', figures)
