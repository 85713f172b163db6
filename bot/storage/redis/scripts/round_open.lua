-- Begin a round: the pot is paid, the seats are laid out, and from here on members may play.
-- KEYS[1]  member who pays   KEYS[2]  outbox   KEYS[3…6]  boards (see lib/ledger.lua)
-- KEYS[7]  the round   KEYS[8]  its moves   KEYS[9]  its seats (list of points)   KEYS[10] open rounds of the community by place
-- KEYS[11] rounds of the shard by the end of their time   KEYS[12] points of the day's budget that are spent
-- KEYS[13] until when a game rests in a place
-- ARGV[1]  community   ARGV[2]  id   ARGV[3]  now, Unix ms   ARGV[4]  community-day   ARGV[5]  cause
-- ARGV[6]  place       ARGV[7]  game ARGV[8]  ends at, Unix ms   ARGV[9]  pot   ARGV[10] who pays, '' is the budget
-- ARGV[11] the budget's points of a day   ARGV[12] how long a day's budget is kept, ms
-- ARGV[13] most rounds of this game at a time in a place   ARGV[14] the word it listens to, '' for none
-- ARGV[15] n, how many seats   ARGV[16…15+n] points of each   ARGV[16+n…] field, value … of the round
-- returns  {'done', ''} | {'again', state} | {'busy', id of the one that is open} | {'resting', until, Unix ms}
--          | {'poor', balance} | {'budget', points left of the day}
-- dies here / comes twice: one step; the id comes from the cause, so a repeat finds the round.
--@include ledger
--@include round
local id, now, pot = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[9])
local state = redis.call('HGET', KEYS[7], 'state')
if state then return {'again', state} end
local rounds, same = open_rounds(KEYS[10], ARGV[6]), 0
for _, round in ipairs(rounds) do
  if round[2] == ARGV[7] then
    same = same + 1
    if same >= tonumber(ARGV[13]) then return {'busy', round[1]} end
  end
end
local rests = redis.call('HGET', KEYS[13], ARGV[6] .. ' ' .. ARGV[7])
if rests and now < tonumber(rests) then return {'resting', tonumber(rests)} end
if ARGV[10] == '' then
  local left = tonumber(ARGV[11]) - tonumber(redis.call('GET', KEYS[12]) or '0')
  if pot > left then return {'budget', math.max(left, 0)} end
  redis.call('INCRBY', KEYS[12], ARGV[9])
  redis.call('PEXPIRE', KEYS[12], ARGV[12], 'NX')
elseif pot > 0 then
  local balance = tonumber(redis.call('HGET', KEYS[1], 'points') or '0')
  if balance < pot then return {'poor', balance} end
  post(1, {ARGV[1], ARGV[10], '-' .. ARGV[9], 'round_pay', ARGV[5], ARGV[3], ARGV[4], '', '', '', id})
end

local seats = tonumber(ARGV[15])
redis.call('HSET', KEYS[7], 'community', ARGV[1], 'game', ARGV[7], 'place', ARGV[6], 'state', 'open', 'end', '', 'payer', ARGV[10],
  'word', ARGV[14], 'seats', ARGV[15], 'pot', ARGV[9], 'staked', '0', 'house', '0', 'paid', '0', 'refund', '0',
  'at_ms', ARGV[3], 'ends_at_ms', ARGV[8], 'last_at_ms', ARGV[3], 'ended_at_ms', '0', 'day', ARGV[4], 'facts', '',
  'shares', table.concat(ARGV, ' ', 16, 15 + seats), unpack(ARGV, 16 + seats))
for index = 16, 15 + seats do redis.call('RPUSH', KEYS[9], ARGV[index]) end
rounds[#rounds + 1] = {id, ARGV[7], ARGV[14]}
keep_open_rounds(KEYS[10], ARGV[6], rounds)
redis.call('ZADD', KEYS[11], ARGV[8], ARGV[1] .. ' ' .. id)
round_row(KEYS[7], KEYS[8], KEYS[2], ARGV[1], id)
return {'done', ''}
