-- Use a make-up card: check a member in for the latest missed day, against points.
-- KEYS[1]  member   KEYS[2]  outbox   KEYS[3…6]  boards of the present day (see lib/ledger.lua)
-- KEYS[7]  the member's check-in days (hash: b<block> bits, total, u<yyyymm> cards used for a month)
-- KEYS[8…] the community's check-ins of each candidate day, latest first (hash: member → stored result)
-- ARGV[1]  community   ARGV[2]  member   ARGV[3]  present day, YYYY-MM-DD   ARGV[4]  number of candidate days
-- ARGV[5]  event id    ARGV[6]  when it counts, Unix ms   ARGV[7]  points a card costs
-- ARGV[8]  milestones  ARGV[9]  how long a day's results are kept, ms   ARGV[10]  cards per month
-- ARGV[11] number of the latest candidate day
-- ARGV[12…] the candidate days, YYYY-MM-DD, latest first
-- returns  {'done'|'again', streak, total, cost, bonus, balance, day}
--          | {'none'} nothing missed | {'limit', cards per month, day} | {'poor', cost, balance, day}
-- dies here / comes twice: one step; the day's stored result names the event, so a repeat is told its own.
--@include ledger
--@include calendar
local days = tonumber(ARGV[4])
for i = 1, days do
  local stored = redis.call('HGET', KEYS[7 + i], ARGV[2])
  local figures, cause = string.match(stored or '', '^([^|]*)|(.*)$')
  if cause == ARGV[5] then
    local numbers = {}
    for number in string.gmatch(figures, '-?%d+') do numbers[#numbers + 1] = tonumber(number) end
    return {'again', numbers[1], numbers[2], tonumber(ARGV[7]), numbers[5], numbers[6], ARGV[11 + i]}
  end
end

local missed
for i = 1, days do
  if not has_day(KEYS[7], tonumber(ARGV[11]) - i + 1) then missed = i break end
end
if not missed then return {'none'} end
local name, day = ARGV[11 + missed], tonumber(ARGV[11]) - missed + 1
local month = 'u' .. string.sub(name, 1, 4) .. string.sub(name, 6, 7)
if tonumber(redis.call('HGET', KEYS[7], month) or '0') >= tonumber(ARGV[10]) then return {'limit', tonumber(ARGV[10]), name} end
local balance, cost = tonumber(redis.call('HGET', KEYS[1], 'points') or '0'), tonumber(ARGV[7])
if balance < cost then return {'poor', cost, balance, name} end

local before, after = run(KEYS[7], day, -1), run(KEYS[7], day, 1)
mark_day(KEYS[7], day)
redis.call('HINCRBY', KEYS[7], month, 1)
local total = redis.call('HINCRBY', KEYS[7], 'total', 1)
local streak = before + 1 + after
if cost > 0 then
  balance = post(1, {ARGV[1], ARGV[2], '-' .. ARGV[7], 'make_up', ARGV[5], ARGV[6], ARGV[3], 'day:' .. name})
end
local bonuses, bonus = reached(ARGV[8], before, after), 0
for i = 1, #bonuses, 2 do
  balance = post(1, {ARGV[1], ARGV[2], bonuses[i + 1], 'milestone', ARGV[5], ARGV[6], ARGV[3], 'streak:' .. bonuses[i]})
  bonus = bonus + tonumber(bonuses[i + 1])
end
redis.call('XADD', KEYS[2], '*', 'kind', 'check_in', 'community', ARGV[1], 'member', ARGV[2], 'day', name,
  'at_ms', ARGV[6], 'cause', ARGV[5], 'streak', streak, 'total', total, 'rank', '0',
  'points', string.format('%.0f', bonus), 'made_up', '1')
redis.call('HSET', KEYS[7 + missed], ARGV[2],
  string.format('%d %d %d %.0f %.0f %.0f', streak, total, 0, bonus - cost, bonus, balance) .. '|' .. ARGV[5])
redis.call('PEXPIRE', KEYS[7 + missed], ARGV[9], 'NX')
return {'done', streak, total, cost, bonus, balance, name}
