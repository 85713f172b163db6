-- End a round: awards are paid, what is left goes back to who paid, and those who must hear of it are told.
-- KEYS[1]  the round (see lib/round.lua)   KEYS[2]  its moves   KEYS[3]  open rounds of the community by place
-- KEYS[4]  rounds of the shard by the end of their time   KEYS[5]  points of the round's day of the budget that are spent
-- KEYS[6]  outbox   KEYS[7…10]  boards   KEYS[11] until when a game rests in a place   KEYS[12] the last rounds of each place
-- KEYS[13] what members did in games today   KEYS[14…16] its marks, players and seats   KEYS[17] member who paid
-- KEYS[18…17+a] members who get an award   KEYS[18+a…] of each delivery: record, due times, order of receivers
-- ARGV[1]  community   ARGV[2]  id   ARGV[3]  now, Unix ms   ARGV[4]  community-day   ARGV[5]  state after it
-- ARGV[6]  why it ends ARGV[7]  how many moves its outcome was made of, -1 where later ones do not matter
-- ARGV[8]  how long the game rests in the place, ms   ARGV[9]  how long an ended round is kept, ms
-- ARGV[10] how long caps are kept, ms   ARGV[11] what its texts tell of it, JSON
-- ARGV[12] the event that ends it, '' for none
-- ARGV[13] a, how many awards; of each: member, points, why, how much of it is won   then d, how many deliveries; of each: id, due, n, n fields and values
-- returns  {'done', refund} | {'again', refund} when it had ended | {'moved', moves} when there are other moves than it was
--          made of | {'unbalanced', what would be left} | {'unknown', 0}
-- dies here / comes twice: one step; a second call finds it ended.
--@include ledger
--@include round
--@include deliver
local id, now = ARGV[2], ARGV[3]
local state, place, game, payer, pot, staked, house, paid, refund =
  unpack(redis.call('HMGET', KEYS[1], 'state', 'place', 'game', 'payer', 'pot', 'staked', 'house', 'paid', 'refund'))
if not state then return {'unknown', 0} end
if state ~= 'open' then return {'again', tonumber(refund)} end
local moves = redis.call('LLEN', KEYS[2])
if ARGV[7] ~= '-1' and tonumber(ARGV[7]) ~= moves then return {'moved', moves} end

local awards, given = tonumber(ARGV[13]), 0
for index = 0, awards - 1 do given = given + tonumber(ARGV[15 + 4 * index]) end
local left = tonumber(pot) + tonumber(staked) + tonumber(house) - tonumber(paid) - given
if left < 0 then return {'unbalanced', left} end

local cause = 'round:' .. id
for index = 0, awards - 1 do
  local member, points, why, won = unpack(ARGV, 14 + 4 * index, 17 + 4 * index)
  post_to(KEYS[18 + index], KEYS[6], 7, {ARGV[1], member, points, 'round_prize', cause, now, ARGV[4], why, '', '', id})
  if won ~= '0' then redis.call('HINCRBY', KEYS[13], game .. '|' .. member .. '|won', won) end
end
if awards > 0 then redis.call('PEXPIRE', KEYS[13], ARGV[10], 'NX') end
if left > 0 and payer ~= '' then
  post_to(KEYS[17], KEYS[6], 7, {ARGV[1], payer, string.format('%.0f', left), 'round_refund', cause, now, ARGV[4], '', '', '', id})
elseif left > 0 and redis.call('EXISTS', KEYS[5]) == 1 then
  redis.call('DECRBY', KEYS[5], string.format('%.0f', left))
end

redis.call('HSET', KEYS[1], 'state', ARGV[5], 'end', ARGV[6], 'ended_at_ms', now, 'facts', ARGV[11], 'ended_by', ARGV[12],
  'paid', string.format('%.0f', tonumber(paid) + given), 'refund', string.format('%.0f', left))
redis.call('HDEL', KEYS[1], 'answer_to')
local still = {}
for _, round in ipairs(open_rounds(KEYS[3], place)) do
  if round[1] ~= id then still[#still + 1] = round end
end
keep_open_rounds(KEYS[3], place, still)
redis.call('ZREM', KEYS[4], ARGV[1] .. ' ' .. id)
if ARGV[8] ~= '0' then
  redis.call('HSET', KEYS[11], place .. ' ' .. game, string.format('%.0f', tonumber(now) + tonumber(ARGV[8])))
end
local recent = {{id, game, now}}
for _, round in ipairs(cjson.decode(redis.call('HGET', KEYS[12], place) or '[]')) do
  if #recent < 8 then recent[#recent + 1] = round end
end
redis.call('HSET', KEYS[12], place, cjson.encode(recent))
round_row(KEYS[1], KEYS[2], KEYS[6], ARGV[1], id)
for _, key in ipairs({1, 2, 14, 15, 16}) do redis.call('PEXPIRE', KEYS[key], ARGV[9]) end

local at, key = 14 + 4 * awards, 18 + awards
for _ = 1, tonumber(ARGV[at]) do
  local fields = tonumber(ARGV[at + 3])
  deliver(KEYS[key], KEYS[key + 1], KEYS[6], ARGV[at + 1], ARGV[at + 2], {unpack(ARGV, at + 4, at + 3 + fields)})
  at, key = at + 3 + fields, key + 3
end
return {'done', left}
