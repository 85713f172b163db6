-- Use a make-up card: check a member in for the latest missed day, against points.
-- KEYS[1]  member   KEYS[2]  outbox   KEYS[3…6]  boards of the present day (see lib/ledger.lua)
-- KEYS[7]  the member's check-in days (hash: b<block> bits, total, u<yyyymm> cards used for a month)
-- KEYS[8]  result of this event, kept so that a repeat is told the same and uses no other card
-- ARGV[1]  community   ARGV[2]  member   ARGV[3]  present day, YYYY-MM-DD   ARGV[4]  number of candidate days
-- ARGV[5]  event id    ARGV[6]  when it counts, Unix ms   ARGV[7]  points a card costs
-- ARGV[8]  milestones  ARGV[9]  how long the result is kept, ms   ARGV[10]  cards per month
-- ARGV[11] number of the latest candidate day
-- ARGV[12…] the candidate days, YYYY-MM-DD, latest first
-- returns  {'done'|'again', streak, total, cost, bonus, balance, day}
--          | {'none'} nothing missed | {'limit', cards per month, day} | {'poor', cost, balance, day}
-- dies here / comes twice: one step, and the result is stored with it.
--@include ledger
--@include calendar
local stored = redis.call('GET', KEYS[8])
if stored then
  local streak, total, cost, bonus, balance, name = string.match(stored, '^(%d+) (%d+) (%d+) (%d+) (-?%d+) (.*)$')
  return {'again', tonumber(streak), tonumber(total), tonumber(cost), tonumber(bonus), tonumber(balance), name}
end

local missed
for i = 1, tonumber(ARGV[4]) do
  if not has_day(KEYS[7], tonumber(ARGV[11]) - i + 1) then missed = i break end
end
if not missed then return {'none'} end
local name, day = ARGV[11 + missed], tonumber(ARGV[11]) - missed + 1
local month = 'u' .. string.sub(name, 1, 4) .. string.sub(name, 6, 7)
if tonumber(redis.call('HGET', KEYS[7], month) or '0') >= tonumber(ARGV[10]) then return {'limit', tonumber(ARGV[10]), name} end
local balance, cost = tonumber(redis.call('HGET', KEYS[1], 'points') or '0'), tonumber(ARGV[7])
if cost > 0 and balance < cost then return {'poor', cost, balance, name} end

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
local entry = redis.call('XADD', KEYS[2], '*', 'kind', 'check_in', 'community', ARGV[1], 'member', ARGV[2], 'day', name,
  'at_ms', ARGV[6], 'cause', ARGV[5], 'streak', streak, 'total', total, 'rank', '0',
  'points', string.format('%.0f', bonus), 'made_up', '1')
redis.call('HSET', KEYS[1], 'entry', entry)
redis.call('SET', KEYS[8], string.format('%d %d %.0f %.0f %.0f %s', streak, total, cost, bonus, balance, name), 'PX', ARGV[9])
return {'done', streak, total, cost, bonus, balance, name}
